// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/kexec/kernel_facts.h"

#include <gtest/gtest.h>

#include "tests/unit/guest/folder.h"

namespace vmcore::guest::kexec {
namespace {

TEST(KernelFacts, BothLayoutsOfSysfs) {
  const Folder old;
  old.write("/sys/kernel/kexec_crash_size", "134217728\n");
  old.write("/sys/kernel/kexec_crash_loaded", "1\n");
  old.write("/sys/kernel/kexec_loaded", "0\n");
  EXPECT_EQ(crash_memory_size(old.root()), 128U << 20);
  EXPECT_TRUE(is_loaded(old.root(), Slot::crash));
  EXPECT_FALSE(is_loaded(old.root(), Slot::reboot));

  const Folder now;
  now.write("/sys/kernel/kexec/crash_size", "0\n");
  now.write("/sys/kernel/kexec/loaded", "1\n");
  EXPECT_EQ(crash_memory_size(now.root()), 0U);
  EXPECT_FALSE(is_loaded(now.root(), Slot::crash));
  EXPECT_TRUE(is_loaded(now.root(), Slot::reboot));
  EXPECT_EQ(crash_memory_size(Folder().root()), std::nullopt);
}

std::vector<MemoryRange> ranges_in(std::string_view iomem) {
  return crash_ranges(parse_resources(iomem));
}

TEST(CrashRanges, LinesOfIomem) {
  using Ranges = std::vector<MemoryRange>;
  EXPECT_EQ(ranges_in("00001000-0009fbff : System RAM\n"
                      "00100000-bffd9fff : System RAM\n"
                      "  2b000000-3affffff : Crash kernel\n"
                      "  3b000000-3c8013bf : Kernel code\n"
                      "100000000-13fffffff : System RAM\n"
                      "  12f000000-13effffff : Crash kernel"),
            (Ranges{{0x2b000000, 0x3affffff}, {0x12f000000, 0x13effffff}}));
  // What others than root see, and what nobody should.
  EXPECT_EQ(ranges_in("  00000000-00000000 : Crash kernel\n"), Ranges{});
  EXPECT_EQ(ranges_in("  2000-1000 : Crash kernel\n : Crash kernel\n- : Crash kernel\n"
                      "x-y : Crash kernel\n1 : Crash kernel\n1- : Crash kernel\n"
                      "fffffffffffffffff-1 : Crash kernel\n"),
            Ranges{});
}

TEST(StaysValid, WhereTheKernelSeesToItOrNothingChanges) {
  const Folder none;  // no memory hotplug, all CPUs there
  none.write("/sys/devices/system/cpu/possible", "0-1\n");
  none.write("/sys/devices/system/cpu/present", "0-1\n");
  EXPECT_TRUE(stays_valid(none.root()));
  none.write("/sys/devices/system/memory/block_size_bytes", "8000000\n");
  EXPECT_FALSE(stays_valid(none.root()));
  none.write("/sys/devices/system/memory/crash_hotplug", "1\n");
  EXPECT_TRUE(stays_valid(none.root()));
  none.write("/sys/devices/system/cpu/possible", "0-7\n");
  EXPECT_FALSE(stays_valid(none.root()));
  none.write("/sys/devices/system/cpu/crash_hotplug", "0\n");
  EXPECT_FALSE(stays_valid(none.root()));
  none.write("/sys/devices/system/cpu/crash_hotplug", "1\n");
  EXPECT_TRUE(stays_valid(none.root()));
}

}  // namespace
}  // namespace vmcore::guest::kexec
