// SPDX-License-Identifier: GPL-2.0-or-later
// The size of a page, and the ways between addresses and page frames.
//
// The size is a constant: x86-64, the only architecture whose dumps are read, has base pages of
// 4 KiB only, and so has its host, whose pages /proc/PID/pagemap counts. An aarch64 kernel may have
// pages of 16 or 64 KiB: with aarch64 the size becomes a property of the Machine.
#pragma once

#include <cstdint>

#include "src/base/address.h"

namespace vmcore {

inline constexpr unsigned kPageShift = 12;
inline constexpr std::uint64_t kPageSize = 1ULL << kPageShift;  // bytes

// The value rounded to whole pages, down or up. page_ceil() wraps in the last page of 2^64 bytes.
constexpr std::uint64_t page_floor(std::uint64_t value) { return value & ~(kPageSize - 1); }
constexpr std::uint64_t page_ceil(std::uint64_t value) { return page_floor(value + kPageSize - 1); }
constexpr std::uint64_t ceil_div(std::uint64_t value, std::uint64_t by) {
  return (value + by - 1) / by;
}

// The page frame that contains the address.
constexpr Pfn pfn_of(PhysAddr address) { return {address.value / kPageSize}; }
// Where the page frame begins.
constexpr PhysAddr address_of(Pfn pfn) { return {pfn.value * kPageSize}; }

}  // namespace vmcore
