// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/kernel/arch/x86_64_trampoline.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <span>

namespace vmcore::kernel {
namespace {

constexpr std::size_t kEntries = 512;
constexpr std::uint64_t kPresent = 1;
// Flags differ: the CPU marks entries that it used.
constexpr std::uint64_t kTarget = 0x000f'ffff'ffff'f000;
constexpr std::uint64_t kLowMemoryEnd = 0xa0000;

using Table = std::array<std::uint64_t, kEntries>;

std::optional<Table> read_table(const PhysicalMemory& memory, PhysAddr at) {
  Table table{};
  return read_exactly(memory, at, std::as_writable_bytes(std::span(table))) ? std::optional(table)
                                                                            : std::nullopt;
}

// It maps itself at address 0, nothing else of the lower half, and the kernel.
bool is_trampoline(const Table& table) {
  const auto is_free = [](std::uint64_t entry) { return entry == 0; };
  return (table.front() & kPresent) != 0 && (table.back() & kPresent) != 0 &&
         std::all_of(table.begin() + 1, table.begin() + kEntries / 2, is_free);
}

}  // namespace

bool x86_64_booted_last(const PageTables& tables, const PhysicalMemory& memory) {
  const auto own = read_table(memory, tables.root());
  if (!own || (own->back() & kPresent) == 0) {
    return false;
  }
  bool found = false;
  for (std::uint64_t at = 0; at < kLowMemoryEnd; at += sizeof(Table)) {
    const auto table = read_table(memory, {at});
    if (!table || !is_trampoline(*table)) {
      continue;
    }
    if ((table->back() & kTarget) != (own->back() & kTarget)) {
      return false;
    }
    found = true;
  }
  return found;
}

}  // namespace vmcore::kernel
