// SPDX-License-Identifier: GPL-2.0-or-later
// Whatever a worker writes into the table of the room that it shares: what is copied for it is the
// guest's memory, into the room, and no more than fits there. The input is the room's size and
// count (8 bytes each), then entries.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "src/acquire/process/copy_request.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace vmcore;
  using sandbox::CopyEntry;
  std::uint64_t head[2] = {};
  if (size < sizeof head) {
    return 0;
  }
  std::memcpy(head, data, sizeof head);
  std::vector<CopyEntry> table((size - sizeof head) / sizeof(CopyEntry));
  if (!table.empty()) {
    std::memcpy(table.data(), data + sizeof head, table.size() * sizeof(CopyEntry));
  }
  const std::vector<Piece> pieces = {
      {.range = {{0}, 0x10000}, .address = 0x7000, .file = {}},
      {.range = {{0x10000}, 0x1000}, .address = {}, .file = FilePlace{}},
      {.range = {{0x100000}, 0x1000}, .address = ~std::uint64_t{0} - 0xfff, .file = {}}};
  const auto entries = acquire::checked_entries(table, head[1], pieces, head[0]);
  std::uint64_t left = head[0];
  for (const CopyEntry& entry : entries ? *entries : std::vector<CopyEntry>()) {
    const bool placed = entry.size <= left && entry.place <= head[0] - entry.size;
    if (!placed || !std::ranges::any_of(pieces, [&](const Piece& piece) {
          return piece.address && entry.address >= *piece.address &&
                 entry.size <= piece.range.size &&
                 entry.address - *piece.address <= piece.range.size - entry.size;
        })) {
      std::abort();
    }
    left -= entry.size;
  }
  return 0;
}
