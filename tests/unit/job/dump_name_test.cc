// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/job/dump_name.h"

#include <gtest/gtest.h>

namespace vmcore::job {
namespace {

const std::chrono::system_clock::time_point kTime{std::chrono::seconds(1'795'253'400)};

TEST(DumpName, HasGuestAndTime) {
  EXPECT_EQ(dump_name("vm1", kTime), "vm1-20261121T093000Z.vmcore");
}

TEST(DumpName, IsAlwaysOneFileName) {
  EXPECT_EQ(dump_name("../../etc/x", kTime), "%2E.%2F..%2Fetc%2Fx-20261121T093000Z.vmcore");
  EXPECT_EQ(dump_name("-o\n\x1b[2J%", kTime), "%2Do%0A%1B%5B2J%25-20261121T093000Z.vmcore");
  EXPECT_EQ(dump_name("", kTime), "guest-20261121T093000Z.vmcore");
  EXPECT_LE(dump_name(std::string(5000, '/'), kTime).size(), 255U);
}

}  // namespace
}  // namespace vmcore::job
