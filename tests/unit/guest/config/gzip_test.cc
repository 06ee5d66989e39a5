// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/config/gzip.h"

#include <gtest/gtest.h>

#include "tests/unit/guest/module_text.h"

namespace vmcore::guest::config {
namespace {

TEST(Gzip, IsUnpackedAgain) {
  for (const std::string& text : {module_text(), std::string(3'000'000, '\0'), std::string()}) {
    const auto packed = gzip(text);
    ASSERT_TRUE(packed);
    EXPECT_TRUE(packed->starts_with(kGzipMagic));
    EXPECT_EQ(gunzip(*packed, text.size()), text);
    EXPECT_EQ(*gzip(text), *packed);
  }
  EXPECT_LT(gzip(module_text())->size(), module_text().size() / 4);
}

TEST(Gzip, WhatIsDamagedIsRefused) {
  const std::string packed = *gzip(module_text());
  std::string damaged = packed;
  damaged[packed.size() / 2] = static_cast<char>(~damaged[packed.size() / 2]);
  EXPECT_EQ(gunzip(damaged, 1U << 30).error().code, Errc::malformed);
  EXPECT_FALSE(gunzip(packed.substr(0, packed.size() - 9), 1U << 30));  // its size is another
  EXPECT_EQ(gunzip("\x1f", 100).error().code, Errc::truncated);
  EXPECT_EQ(gunzip(packed, module_text().size() - 1).error().code, Errc::limit);
}

}  // namespace
}  // namespace vmcore::guest::config
