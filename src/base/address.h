// SPDX-License-Identifier: GPL-2.0-or-later
// Strong types for addresses and page frames, so that they cannot be mixed up.
#pragma once

#include <compare>
#include <cstdint>

namespace vmcore {

// A guest-physical address, in bytes.
struct PhysAddr {
  std::uint64_t value = 0;
  auto operator<=>(const PhysAddr&) const = default;
};
constexpr PhysAddr operator+(PhysAddr address, std::uint64_t bytes) {
  return {address.value + bytes};
}
constexpr std::uint64_t operator-(PhysAddr a, PhysAddr b) { return a.value - b.value; }

// A virtual address of the guest's kernel, in bytes.
struct VirtAddr {
  std::uint64_t value = 0;
  auto operator<=>(const VirtAddr&) const = default;
};
constexpr VirtAddr operator+(VirtAddr address, std::uint64_t bytes) {
  return {address.value + bytes};
}
constexpr std::uint64_t operator-(VirtAddr a, VirtAddr b) { return a.value - b.value; }

// A page frame number: a guest-physical address divided by the page size.
struct Pfn {
  std::uint64_t value = 0;
  auto operator<=>(const Pfn&) const = default;
};
constexpr Pfn operator+(Pfn pfn, std::uint64_t pages) { return {pfn.value + pages}; }
constexpr std::uint64_t operator-(Pfn a, Pfn b) { return a.value - b.value; }

// The bytes [begin, begin + size). Readers make sure that it does not wrap and ends at or below
// kMaxPhysAddr.
struct PhysRange {
  PhysAddr begin;
  std::uint64_t size = 0;
  constexpr PhysAddr end() const { return begin + size; }
  constexpr bool contains(PhysAddr address) const {
    return address >= begin && address - begin < size;
  }
  bool operator==(const PhysRange&) const = default;
};

// Memory at or above 64 TiB is refused everywhere: no QEMU guest has it (x86-64 KVM hosts offer 46
// bits or fewer to guests by default), and a file that claims it would cost gigabytes of bitmap.
inline constexpr std::uint64_t kMaxPhysAddr = 1ULL << 46;

}  // namespace vmcore
