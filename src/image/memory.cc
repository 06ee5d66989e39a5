// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/image/memory.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <utility>

#include "src/base/threads.h"

namespace vmcore {

Result<> PhysicalMemory::read_parts(std::span<ReadPart> parts, unsigned threads) const {
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  std::optional<Error> error;
  on_threads(static_cast<unsigned>(std::min<std::size_t>(threads, parts.size())), [&](unsigned) {
    for (std::size_t i = next++; i < parts.size(); i = next++) {
      const auto got = read(parts[i].address, parts[i].out);
      if (!got) {
        const std::scoped_lock lock(mutex);
        error = got.error();
        return;
      }
      parts[i].good = got->good;
    }
  });
  return error ? tl::unexpected(*std::move(error)) : Result<>();
}

Result<> read_exactly(const PhysicalMemory& memory, PhysAddr address, std::span<std::byte> out) {
  TRY_ASSIGN(const ReadExtent got, memory.read(address, out));
  if (got.good < out.size()) {
    const PhysAddr bad = got.first_bad.value_or(address + got.good);
    return fail(Errc::unreadable, "guest-physical address {:#x} is {}", bad.value,
                presence_name(memory.presence(bad)));
  }
  return {};
}

RangeSet ram_ranges(const PhysicalMemory& memory) {
  RangeSet ram;
  for (PhysAddr address{0}; address.value < kMaxPhysAddr;) {
    const Extent extent = memory.extent(address);
    if (extent.presence != Presence::absent) {
      ram.add(extent.range);
    }
    if (extent.range.end() <= address) {
      break;  // a source that does not advance would hang us
    }
    address = extent.range.end();
  }
  return ram;
}

std::string_view presence_name(Presence presence) {
  switch (presence) {
    case Presence::absent:
      return "not RAM of this dump";
    case Presence::excluded:
      return "excluded from this dump";
    case Presence::zero:
      return "zero";
    case Presence::lost:
    case Presence::data:
      return "missing from this dump";
  }
  return "unknown";
}

}  // namespace vmcore
