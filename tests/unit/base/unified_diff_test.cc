// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/base/unified_diff.h"

#include <gtest/gtest.h>

namespace vmcore {
namespace {

TEST(UnifiedDiff, IsNothingWhereNothingDiffers) {
  EXPECT_EQ(unified_diff("x", "a\nb\n", "a\nb\n"), "");
  EXPECT_EQ(unified_diff("x", "", ""), "");
}

TEST(UnifiedDiff, ShowsThreeLinesAround) {
  EXPECT_EQ(unified_diff("x", "1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nnew\n6\n7\n8\n9\n"),
            R"(--- x
+++ x
@@ -2,7 +2,7 @@
 2
 3
 4
-5
+new
 6
 7
 8
)");
}

TEST(UnifiedDiff, SplitsWhatIsFarApart) {
  EXPECT_EQ(unified_diff("x", "1\n2\n3\n4\n5\n6\n7\n8\n9\n", "0\n1\n2\n3\n4\n5\n6\n7\n8\n"),
            R"(--- x
+++ x
@@ -1,3 +1,4 @@
+0
 1
 2
 3
@@ -6,4 +7,3 @@
 6
 7
 8
-9
)");
}

TEST(UnifiedDiff, JoinsWhatIsClose) {
  const std::string diff =
      unified_diff("x", "1\n2\n3\n4\n5\n6\n7\n8\n", "a\n2\n3\n4\n5\n6\n7\nb\n");
  EXPECT_EQ(diff.substr(0, 22), "--- x\n+++ x\n@@ -1,8 +1");
  EXPECT_EQ(diff.find("@@", 20), diff.rfind("@@"));
}

TEST(UnifiedDiff, FromNothingAndToNothing) {
  EXPECT_EQ(unified_diff("x", "", "1\n"), "--- x\n+++ x\n@@ -0,0 +1,1 @@\n+1\n");
  EXPECT_EQ(unified_diff("x", "1\n", ""), "--- x\n+++ x\n@@ -1,1 +0,0 @@\n-1\n");
}

}  // namespace
}  // namespace vmcore
