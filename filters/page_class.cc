// SPDX-License-Identifier: GPL-2.0-or-later
#include "filters/page_class.h"

namespace vmcore::filters {
namespace {

struct LevelBit {
  unsigned bit;
  ClassMask classes;
};

constexpr std::array kLevelBits{
    LevelBit{kLevelCache, mask_of(PageClass::cache)},
    LevelBit{kLevelPrivateCache, mask_of(PageClass::cache) | mask_of(PageClass::private_cache)},
    LevelBit{kLevelUser, mask_of(PageClass::user)},
    LevelBit{kLevelFree, mask_of(PageClass::free) | mask_of(PageClass::unaccepted) |
                             mask_of(PageClass::offline_section)},
};

}  // namespace

const std::array<ClassName, kPageClasses> kClassNames{{
    {PageClass::kernel, "kernel", "kernel and unclassified"},
    {PageClass::slab, "slab", "kernel slab"},
    {PageClass::hwpoison, "hwpoison", "hardware-poisoned"},
    {PageClass::offline, "offline", "logically offline"},
    {PageClass::free, "free", "free"},
    {PageClass::unaccepted, "unaccepted", "unaccepted"},
    {PageClass::cache, "cache", "page cache"},
    {PageClass::private_cache, "private_cache", "page cache with private data"},
    {PageClass::user, "user", "user (anonymous, hugetlb)"},
    {PageClass::offline_section, "offline_section", "offline memory block"},
    {PageClass::no_memmap, "no_memmap", "without memmap"},
}};

ClassMask excluded_classes(unsigned level) {
  ClassMask classes = mask_of(PageClass::hwpoison) | mask_of(PageClass::offline);
  for (const LevelBit& entry : kLevelBits) {
    if ((level & entry.bit) != 0) {
      classes |= entry.classes;
    }
  }
  if (level >= kLevelUser) {
    classes |= mask_of(PageClass::no_memmap);
  }
  return classes;
}

unsigned level_without(unsigned level, ClassMask kept) {
  for (const LevelBit& entry : kLevelBits) {
    if ((entry.classes & kept) != 0) {
      level &= ~entry.bit;
    }
  }
  return level;
}

}  // namespace vmcore::filters
