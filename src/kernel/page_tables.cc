#include "src/kernel/page_tables.h"

#include <span>

#include "src/image/page.h"

namespace vmcore::kernel {
namespace {

// An x86-64 page table entry (Intel SDM volume 3, 4.5).
constexpr std::uint64_t kPresent = 1ULL << 0;
constexpr std::uint64_t kLargePage = 1ULL << 7;
constexpr std::uint64_t kAddressBits = 0x000f'ffff'ffff'f000;

constexpr unsigned kIndexBits = 9;

// Largest level with large pages: 1 is a page table (4 KiB), 2 a directory (2 MiB), 3 of 1 GiB.
constexpr unsigned kLargestPageLevel = 3;

bool is_canonical(VirtAddr address, unsigned levels) {
  const unsigned sign_bit = kPageShift + levels * kIndexBits - 1;
  const std::uint64_t high = address.value >> sign_bit;
  return high == 0 || high == ~0ULL >> sign_bit;
}

}  // namespace

PageTables::PageTables(const PhysicalMemory& memory, PhysAddr root, bool five_levels,
                       std::uint64_t memory_encryption_mask)
    : memory_(&memory),
      root_{root.value & kAddressBits & ~memory_encryption_mask},
      five_levels_(five_levels),
      memory_encryption_mask_(memory_encryption_mask) {}

Result<Mapping> PageTables::translate(VirtAddr address, std::vector<PhysAddr>* way) const {
  const unsigned levels = five_levels_ ? 5 : 4;
  if (!is_canonical(address, levels)) {
    return fail(Errc::not_found, "virtual address {:#x} is not canonical", address.value);
  }
  PhysAddr table = root_;
  for (unsigned level = levels;; --level) {
    const unsigned shift = kPageShift + (level - 1) * kIndexBits;
    const std::uint64_t index = (address.value >> shift) & ((1U << kIndexBits) - 1);
    std::uint64_t entry = 0;
    if (way != nullptr) {
      way->push_back(table);
    }
    if (auto read = read_exactly(*memory_, table + index * sizeof(entry),
                                 std::as_writable_bytes(std::span(&entry, 1)));
        !read) {
      return in_context(std::move(read).error(), "page table");
    }
    if ((entry & kPresent) == 0) {
      return fail(Errc::not_found, "virtual address {:#x} is not mapped", address.value);
    }
    const std::uint64_t target = entry & kAddressBits & ~memory_encryption_mask_;
    if (target >= kMaxPhysAddr) {
      return fail(Errc::malformed, "page table entry {:#x} of virtual address {:#x}", entry,
                  address.value);
    }
    const bool large = (entry & kLargePage) != 0 && level <= kLargestPageLevel;
    if (level == 1 || large) {
      const std::uint64_t size = 1ULL << shift;
      const std::uint64_t offset = address.value & (size - 1);
      return Mapping{{(target & ~(size - 1)) + offset}, size - offset};
    }
    table = PhysAddr{target};
  }
}

}  // namespace vmcore::kernel
