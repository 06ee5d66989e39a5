// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/process/copy_request.h"

#include <algorithm>
#include <atomic>
#include <thread>

#include "src/base/threads.h"

namespace vmcore::acquire {
namespace {

using sandbox::CopyEntry;

// Entries are copied in portions of about that many bytes, by whichever thread is free.
constexpr std::uint64_t kPortion = 2U << 20;
// Of one call (Linux include/uapi/linux/uio.h, UIO_MAXIOV).
constexpr std::size_t kMostOfOneCall = 1024;

bool within(std::uint64_t begin, std::uint64_t size, std::uint64_t from, std::uint64_t length) {
  return begin >= from && begin - from <= length && size <= length - (begin - from);
}

bool may_be_copied(const CopyEntry& entry, std::span<const Piece> pieces, std::uint64_t room) {
  return within(entry.place, entry.size, 0, room) &&
         std::ranges::any_of(pieces, [&](const Piece& piece) {
           return piece.address &&
                  within(entry.address, entry.size, *piece.address, piece.range.size);
         });
}

// The entries that are copied by one call, from the first of `entries` on.
std::span<CopyEntry> next_portion(std::span<CopyEntry> entries) {
  std::size_t count = 0;
  for (std::uint64_t size = 0; count < std::min(entries.size(), kMostOfOneCall) && size < kPortion;
       ++count) {
    size += entries[count].size;
  }
  return entries.first(count);
}

void copy_portion(const GuestProcess& process, std::span<std::byte> pages,
                  std::span<CopyEntry> portion) {
  std::vector<iovec> from;
  std::vector<iovec> to;
  for (const CopyEntry& entry : portion) {
    // NOLINTNEXTLINE(performance-no-int-to-ptr): nothing here follows an address of another process
    from.push_back({reinterpret_cast<void*>(entry.address), entry.size});
    to.push_back({pages.data() + entry.place, entry.size});
  }
  std::uint64_t copied = process.copy(from, to);
  for (CopyEntry& entry : portion) {
    entry.size = std::min(entry.size, copied);
    copied -= entry.size;
  }
}

}  // namespace

Result<std::vector<CopyEntry>> checked_entries(std::span<const CopyEntry> table,
                                               std::uint64_t count, std::span<const Piece> pieces,
                                               std::uint64_t room) {
  if (count > table.size()) {
    return fail(Errc::malformed, "worker protocol: {} entries to copy are too many", count);
  }
  const auto asked = table.first(count);
  std::vector<CopyEntry> entries(asked.begin(), asked.end());  // from here on nobody changes them
  std::uint64_t sum = 0;
  for (const CopyEntry& entry : entries) {
    if (!may_be_copied(entry, pieces, room) || entry.size > room - sum) {
      return fail(Errc::malformed, "worker protocol: {} bytes at {:#x} may not be copied",
                  entry.size, entry.address);
    }
    sum += entry.size;
  }
  return entries;
}

Result<> copy_for_worker(const GuestProcess& process, std::span<const Piece> pieces,
                         const sandbox::CopyRoom& room, std::uint64_t count) {
  const std::span<CopyEntry> table = room.table();
  TRY_ASSIGN(std::vector<CopyEntry> entries,
             checked_entries(table, count, pieces, room.pages().size()));
  TRY(process.check_same());
  std::vector<std::span<CopyEntry>> portions;
  for (std::span<CopyEntry> left(entries); !left.empty();
       left = left.subspan(portions.back().size())) {
    portions.push_back(next_portion(left));
  }
  std::atomic<std::size_t> next{0};
  const std::size_t threads =
      std::min<std::size_t>(portions.size(), std::max(1U, std::thread::hardware_concurrency()));
  on_threads(static_cast<unsigned>(threads), [&](unsigned) {
    for (std::size_t i = next++; i < portions.size(); i = next++) {
      copy_portion(process, room.pages(), portions[i]);
    }
  });
  TRY(process.check_same());
  std::ranges::copy(entries, table.begin());
  return {};
}

Result<std::uint64_t> read_for_worker(const GuestProcess& process, std::span<const Piece> pieces,
                                      const sandbox::CopyRoom& windows, const CopyEntry& asked) {
  TRY_ASSIGN(std::vector<CopyEntry> entries,
             checked_entries({&asked, 1}, 1, pieces, windows.pages().size()));
  TRY(process.check_same());
  copy_portion(process, windows.pages(), entries);
  TRY(process.check_same());
  const std::uint64_t copied = entries.front().size;
  const auto rest = windows.pages().subspan(asked.place + copied, asked.size - copied);
  return copied + (rest.empty() ? 0 : process.read(asked.address + copied, rest));
}

}  // namespace vmcore::acquire
