// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/base/utc.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace vmcore {
namespace {

TEST(Utc, IsTextForPeopleAndForNames) {
  EXPECT_EQ(utc_text(1795287093), "2026-11-21 18:51:33 UTC");
  EXPECT_EQ(utc_stamp(1795287093), "20261121T185133Z");
}

TEST(Utc, AStampHasItsFormInAnyLaterYear) {
  EXPECT_EQ(utc_stamp(INT64_MAX), "99991231T235959Z");
  EXPECT_EQ(utc_text(INT64_MAX), "");
}

}  // namespace
}  // namespace vmcore
