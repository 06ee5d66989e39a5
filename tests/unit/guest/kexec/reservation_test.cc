// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/kexec/reservation.h"

#include <gmock/gmock.h>

#include "tests/unit/guest/folder.h"

namespace vmcore::guest::kexec {
namespace {

using ::testing::HasSubstr;

constexpr std::uint64_t kMiB = 1U << 20;
constexpr Machine kGigabyte{.ram = 1024 * kMiB, .minimum = 90 * kMiB};
constexpr Machine kImage{.minimum = 90 * kMiB};

std::string taken(std::string_view line) { return reservation_of(line, kImage).word; }

TEST(Reservation, IsTheWordThatTheKernelTakes) {
  EXPECT_EQ(taken("ro quiet"), "");
  EXPECT_EQ(taken("crashkernel=96M crashkernel=128M ro"), "crashkernel=128M");
  EXPECT_EQ(taken("crashkernel=128M crashkernel=256M,high crashkernel=72M,low"),
            "crashkernel=128M");
  EXPECT_EQ(taken("crashkernel=1G,high crashkernel=256M,high crashkernel=72M,low"),
            "crashkernel=256M,high");
  EXPECT_EQ(taken("ro -- crashkernel=128M"), "");
  EXPECT_EQ(taken("xcrashkernel=128M crashkernel.a=1"), "");
}

std::string fault(std::string_view value, const Machine& machine = kGigabyte) {
  const Reservation found = reservation_of(fmt::format("ro crashkernel={}", value), machine);
  EXPECT_FALSE(found.word.empty()) << value;
  EXPECT_EQ(found.serves(), found.fault.empty());
  return found.fault;
}

TEST(Reservation, ThatServes) {
  for (const char* value : {"128M", "0x8000000", "128m@16M", "1000000K", "256M,high",
                            "512M-2G:128M,2G-:256M", "0-:128M", "0-1G:64M,1G-:128M@16M"}) {
    EXPECT_EQ(fault(value), "") << value;
  }
  EXPECT_EQ(fault("2G-4G:320M,4G-:512M", kImage), "");  // it depends on the machine
  EXPECT_EQ(fault("auto", {.knows_auto = true}), "");
}

TEST(Reservation, ThatDoesNotServe) {
  EXPECT_THAT(fault("auto"), HasSubstr("expects a number"));
  EXPECT_THAT(fault(""), HasSubstr("expects a number"));
  EXPECT_THAT(fault("0M"), HasSubstr("reserves nothing"));
  EXPECT_THAT(fault("64M"), HasSubstr("at least 91 MiB"));
  EXPECT_THAT(fault("64M", kImage), HasSubstr("at least 91 MiB"));
  EXPECT_THAT(fault("2G"), HasSubstr("only 1024 MiB"));
  EXPECT_THAT(fault("128MB"), HasSubstr("does not understand \"B\""));
  EXPECT_THAT(fault("2G-4G:320M,4G-:512M"), HasSubstr("no range has the 1024 MiB"));
  EXPECT_THAT(fault("1G-2G:0M"), HasSubstr("reserves nothing"));
  EXPECT_THAT(fault("1G-2G:32M,2G-:64M", kImage), HasSubstr("at least 91 MiB"));
  EXPECT_THAT(fault("2G-1G:128M"), HasSubstr("ranges"));
  EXPECT_THAT(fault("1G-:"), HasSubstr("ranges"));
  EXPECT_THAT(fault("72M,low"), HasSubstr("alone"));
}

TEST(Reservation, OfAnImageKnowsNoRam) {
  const Folder image;
  image.write("/proc/iomem", "00100000-3ffdffff : System RAM\n");
  EXPECT_EQ(ram_of(image.root()), std::nullopt);
}

TEST(KernelLog, SaysWhyNothingIsReserved) {
  EXPECT_EQ(kernel_on_crashkernel("<6>[    0.0] Command line: ro crashkernel=auto\n"
                                  "<4>[    0.004] crashkernel: memory value expected\n"
                                  "<6>[    1.0] other\n"),
            "crashkernel: memory value expected");
  EXPECT_EQ(kernel_on_crashkernel("<6>[    0.0] crashkernel reserved: 0x1000 - 0x2000 (128 MB)\n"),
            "");
  EXPECT_EQ(kernel_on_crashkernel(""), "");
}

}  // namespace
}  // namespace vmcore::guest::kexec
