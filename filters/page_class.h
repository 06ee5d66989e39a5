// SPDX-License-Identifier: GPL-2.0-or-later
// PageClass: what a page is, as far as dump levels care. Each page has one class.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace vmcore::filters {

enum class PageClass : std::uint8_t {
  kernel,           // whatever no rule claims; always kept
  slab,             // the kernel's small objects; always kept
  hwpoison,         // hardware-poisoned
  offline,          // logically offline: ballooned, virtio-mem unplugged
  free,             // in the buddy allocator
  unaccepted,       // not yet accepted from the hypervisor (TDX, SEV-SNP; v6.16)
  cache,            // page cache and swap cache without private data
  private_cache,    // the same with PG_private
  user,             // anonymous and hugetlb
  offline_section,  // in memory blocks that are offline: taken offline, or never online
  no_memmap,        // RAM of the machine that Linux has no struct page for (VGA, pflash)
};
inline constexpr std::size_t kPageClasses = 11;

// A set of classes, as a bit each.
using ClassMask = std::uint32_t;
constexpr ClassMask mask_of(PageClass page_class) {
  return ClassMask{1} << static_cast<unsigned>(page_class);
}

// Bits of the dump level, with makedumpfile's meaning (makedumpfile(8), -d).
inline constexpr unsigned kLevelZero = 1;
inline constexpr unsigned kLevelCache = 2;
inline constexpr unsigned kLevelPrivateCache = 4;  // cache pages with and without private data
inline constexpr unsigned kLevelUser = 8;
inline constexpr unsigned kLevelFree = 16;
inline constexpr unsigned kMaxLevel = 31;

// The classes that a level leaves out. Zero pages are no class: they cost nothing in any format.
// Poisoned and offline pages are left out at every level: reading them can hurt the host.
ClassMask excluded_classes(unsigned level);

// The part of `level` that holds although the classes in `kept` were kept after all.
unsigned level_without(unsigned level, ClassMask kept);

struct ClassName {
  PageClass page_class;
  std::string_view name;   // stable: JSON keys
  std::string_view title;  // for people
};
extern const std::array<ClassName, kPageClasses> kClassNames;

}  // namespace vmcore::filters
