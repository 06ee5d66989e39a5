// SPDX-License-Identifier: GPL-2.0-or-later
#include "filters/page_class.h"

#include <gtest/gtest.h>

namespace vmcore::filters {
namespace {

constexpr ClassMask kAlways = mask_of(PageClass::hwpoison) | mask_of(PageClass::offline);

TEST(PageClass, WhatLevelsLeaveOut) {
  EXPECT_EQ(excluded_classes(0), kAlways);
  EXPECT_EQ(excluded_classes(1), kAlways);
  EXPECT_EQ(excluded_classes(2), kAlways | mask_of(PageClass::cache));
  EXPECT_EQ(excluded_classes(4),
            kAlways | mask_of(PageClass::cache) | mask_of(PageClass::private_cache));
  EXPECT_EQ(excluded_classes(8),
            kAlways | mask_of(PageClass::user) | mask_of(PageClass::no_memmap));
  EXPECT_EQ(excluded_classes(16),
            kAlways | mask_of(PageClass::free) | mask_of(PageClass::unaccepted) |
                mask_of(PageClass::offline_section) | mask_of(PageClass::no_memmap));
  EXPECT_EQ(excluded_classes(31),
            ((1U << kPageClasses) - 1) & ~mask_of(PageClass::kernel) & ~mask_of(PageClass::slab));
}

TEST(PageClass, WhatIsKeptLowersTheLevel) {
  EXPECT_EQ(level_without(31, 0), 31U);
  EXPECT_EQ(level_without(31, mask_of(PageClass::user)), 23U);
  EXPECT_EQ(level_without(31, mask_of(PageClass::free)), 15U);
  EXPECT_EQ(level_without(31, mask_of(PageClass::offline_section)), 15U);
  EXPECT_EQ(level_without(31, mask_of(PageClass::private_cache)), 27U);
  EXPECT_EQ(level_without(31, mask_of(PageClass::cache)), 25U);
  EXPECT_EQ(level_without(31, ~ClassMask{0}), 1U);
  EXPECT_EQ(level_without(8, mask_of(PageClass::free)), 8U);
  EXPECT_EQ(level_without(31, mask_of(PageClass::offline)), 31U);
}

TEST(PageClass, EveryClassHasItsName) {
  for (std::size_t i = 0; i < kPageClasses; ++i) {
    EXPECT_EQ(static_cast<std::size_t>(kClassNames[i].page_class), i);
    EXPECT_FALSE(kClassNames[i].name.empty());
  }
}

}  // namespace
}  // namespace vmcore::filters
