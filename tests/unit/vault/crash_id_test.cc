// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/vault/crash_id.h"

#include <gtest/gtest.h>

namespace vmcore::vault {
namespace {

constexpr std::uint64_t kTime = 1'796'593'500;

TEST(CrashId, HasTimeHostGuestAndNumber) {
  const std::string id = crash_id(kTime, "host1", "vm1", 17);
  EXPECT_EQ(id, "20261206T214500Z-host1-vm1-000017");
  EXPECT_EQ(number_of(id), 17U);
}

TEST(CrashId, IsAFileNameWhateverTheGuestIsCalled) {
  for (const std::string guest : {"../../etc/passwd", "-rf", ".", "a b\n", "\xff\x01", "", "vm-1",
                                  "20261206T214500Z-a-b-000001"}) {
    const std::string id = crash_id(kTime, "host-1", guest, 5);
    EXPECT_EQ(number_of(id), 5U) << id;
    EXPECT_EQ(id.find_first_of("/ \n\xff\x01"), std::string::npos) << id;
  }
  EXPECT_LT(crash_id(kTime, std::string(9000, 'h'), std::string(9000, 'g'), UINT64_MAX).size(),
            255U);
}

TEST(CrashId, IsThereForEveryClock) {
  EXPECT_EQ(crash_id(0, "h", "g", 1), "19700101T000000Z-h-g-000001");
  EXPECT_TRUE(number_of(crash_id(UINT64_MAX, "h", "g", 1)));
}

TEST(CrashId, LongNumbersComeBack) {
  EXPECT_EQ(number_of(crash_id(kTime, "h", "g", 12'345'678)), 12'345'678U);
}

TEST(CrashId, IsNotTakenFromOtherNames) {
  for (const char* const name :
       {"", "lock", ".new-00ff", ".gone-20261206T214500Z-h-g-000001", "20261206T214500Z-h-g",
        "20261206T214500Z-000001", "20261206T214500Z-h-g-1", "20261206T214500Z-h/g-000001",
        "2026x206T214500Z-h-g-000001", "20261206T214500Z-h-g-99999999999999999999999",
        "20261206T214500Z-h-g-00000x"}) {
    EXPECT_FALSE(number_of(name)) << name;
  }
}

}  // namespace
}  // namespace vmcore::vault
