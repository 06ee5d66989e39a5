// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/config/kernel_words.h"

#include <gtest/gtest.h>

namespace vmcore::guest::config {
namespace {

using Words = std::vector<std::string>;

TEST(KernelWords, QuotesHoldBlanks) {
  EXPECT_EQ(kernel_words("  a=\"x y\"  \"b=c d\"\te\n"), (Words{"a=\"x y\"", "\"b=c d\"", "e"}));
  EXPECT_EQ(kernel_words("a=\"x y"), Words{"a=\"x y"});
  EXPECT_EQ(kernel_words(" \n"), Words{});
}

}  // namespace
}  // namespace vmcore::guest::config
