// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/vault/filter.h"

#include <gtest/gtest.h>

namespace vmcore::vault {
namespace {

report::ListedCrash crash() {
  return {
      .id = "1",
      .manifest = report::Manifest{.time = 1000,
                                   .reason = "panic",
                                   .capture = {.guest = {.name = "vm1", .uuid = "u-1"}},
                                   .signature = {"exact", "family", "BUG: null pointer in foo"}}};
}

TEST(Filters, FitWhatTheyAskFor) {
  EXPECT_TRUE(matches(crash(), {}));
  EXPECT_TRUE(matches(crash(), {.guests = {"vm2", "vm1"}}));
  EXPECT_TRUE(matches(crash(), {.guests = {"u-1"}}));
  EXPECT_FALSE(matches(crash(), {.guests = {"vm"}}));
  EXPECT_TRUE(matches(crash(), {.reason = "panic"}));
  EXPECT_FALSE(matches(crash(), {.reason = "hang"}));
  for (const char* const signature : {"exact", "family", "in foo"}) {
    EXPECT_TRUE(matches(crash(), {.signature = signature})) << signature;
  }
  EXPECT_FALSE(matches(crash(), {.signature = "xact"}));
  EXPECT_TRUE(matches(crash(), {.since = 1000, .until = 1000}));
  EXPECT_FALSE(matches(crash(), {.since = 1001}));
  EXPECT_FALSE(matches(crash(), {.until = 999}));
}

TEST(Filters, ANameThatIsNotKnownFitsNothing) {
  report::ListedCrash nameless = crash();
  nameless.manifest->capture.guest = {};
  EXPECT_FALSE(matches(nameless, {.guests = {""}}));
}

TEST(Filters, ShowWhatIsDamagedWhereNothingIsAskedFor) {
  const report::ListedCrash damaged{.id = "1", .damage = "it is"};
  EXPECT_TRUE(matches(damaged, {}));
  EXPECT_FALSE(matches(damaged, {.reason = "panic"}));
}

}  // namespace
}  // namespace vmcore::vault
