// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/builders/orc_builder.h"

#include <algorithm>
#include <array>
#include <span>

namespace vmcore::testing {
namespace {

constexpr std::array<std::string_view, 11> kRegisters{"",    "prev", "dx",   "di",   "bp", "sp",
                                                      "r10", "r13",  "(bp)", "(sp)", "ax"};
constexpr std::array<std::string_view, 11> kSince7_1{"",    "ax",  "dx",   "sp",   "bp",  "di",
                                                     "r10", "r13", "prev", "(sp)", "(bp)"};
constexpr std::array<std::string_view, 3> kTypes{"call", "registers", "partial"};
constexpr std::array<std::string_view, 5> kTypesSince6_4{"undefined", "end", "call", "registers",
                                                         "partial"};

template <class Table>
unsigned number_of(const Table& table, std::string_view name) {
  const auto found = std::ranges::find(table, name);
  return found == table.end() ? 0 : static_cast<unsigned>(found - table.begin());
}

unsigned flags_of(const OrcRow& row, OrcStyle style) {
  const bool renumbered = style == OrcStyle::since_7_1;
  const auto number = [&](std::string_view name) {
    return renumbered ? number_of(kSince7_1, name) : number_of(kRegisters, name);
  };
  const unsigned low = number(row.sp) | number(row.bp) << 4;
  const unsigned signal = row.signal ? 1 : 0;
  const unsigned end = row.type == "end" ? 1 : 0;
  switch (style) {
    case OrcStyle::before_6_3:
      return low | (number_of(kTypes, row.type) | end << 2) << 8;
    case OrcStyle::of_6_3:
      return low | (number_of(kTypes, row.type) | signal << 2 | end << 3) << 8;
    default:
      return low | (number_of(kTypesSince6_4, row.type) | signal << 3) << 8;
  }
}

template <class T>
void put(std::vector<std::byte>& bytes, T value) {
  const auto from = std::as_bytes(std::span<const T, 1>(&value, 1));
  bytes.insert(bytes.end(), from.begin(), from.end());
}

}  // namespace

OrcTables build_orc(const std::vector<OrcRow>& rows, OrcStyle style, VirtAddr at) {
  OrcTables tables;
  for (const OrcRow& row : rows) {
    put(tables.addresses, static_cast<std::int32_t>(row.code.value - at.value));
    at = at + sizeof(std::int32_t);
    put(tables.entries, static_cast<std::int16_t>(row.sp_offset));
    put(tables.entries, static_cast<std::int16_t>(row.bp_offset));
    put(tables.entries, static_cast<std::uint16_t>(flags_of(row, style)));
  }
  return tables;
}

}  // namespace vmcore::testing
