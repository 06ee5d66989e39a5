// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/kernel/early_log.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "src/base/little_endian.h"
#include "src/base/range_set.h"
#include "src/kernel/memory_chunks.h"

namespace vmcore::kernel {
namespace {

using Bytes = std::span<const std::byte>;

// Of kernel/printk/printk_ringbuffer.h. A text block is the id of its descriptor and the text, up
// to the next multiple of a word. Ids have 62 bits; the first is DESC0_ID + 1, which is as many
// below zero as there are descriptors, a power of two. Before v7.0 (9095f233c025) the sum had 32
// bits, though those that follow have 62.
constexpr std::size_t kWord = 8;
constexpr std::uint64_t kIds = 1ULL << 62;
constexpr std::uint64_t kOldFirstIds = 1ULL << 32;
constexpr std::uint64_t kMostDescriptors = 1ULL << 31;
// The kernel's first message (start_kernel()).
constexpr std::string_view kBanner = "Linux version ";

// An early log is some hundred records.
constexpr std::size_t kMostBytes = 1 << 20;
// printk's longest record is 1 KiB, or 2 KiB with its prefix.
constexpr std::size_t kLongestText = 4096;
// Records without a text have an id, and no block.
constexpr std::uint64_t kMostSkipped = 8;
// Two of each boot that memory still holds.
constexpr std::size_t kMostRings = 8;

struct EarlyRecord {
  std::uint64_t number = 0;  // since the first one
  std::string text;
};
using EarlyRing = std::vector<EarlyRecord>;

bool is_first_id(std::uint64_t id) {
  const std::uint64_t count = (id < kOldFirstIds ? kOldFirstIds : kIds) - id;
  return std::has_single_bit(count) && count <= kMostDescriptors;
}

bool begins_ring(Bytes bytes, std::size_t offset) {
  const auto id = load<std::uint64_t>(bytes, offset);
  return id && is_first_id(*id) && bytes.size() - offset >= kWord + kBanner.size() &&
         std::memcmp(bytes.data() + offset + kWord, kBanner.data(), kBanner.size()) == 0;
}

std::string text_of(Bytes bytes) {
  std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  text.erase(text.find_last_not_of('\0') + 1);
  return text;
}

// Where the block of one of the next ids begins, behind the block at `offset`.
std::optional<std::size_t> next_block(Bytes bytes, std::size_t offset) {
  const std::uint64_t id = *load<std::uint64_t>(bytes, offset);
  const std::size_t end = std::min(bytes.size(), offset + kWord + kLongestText);
  for (std::size_t at = offset + kWord; at + kWord <= end; at += kWord) {
    const std::uint64_t ahead = (*load<std::uint64_t>(bytes, at) - id) % kIds;
    if (ahead >= 1 && ahead <= kMostSkipped && *load<std::uint64_t>(bytes, at) < kIds) {
      return at;
    }
  }
  return std::nullopt;
}

EarlyRing read_ring(Bytes bytes) {
  EarlyRing ring;
  const std::uint64_t first = *load<std::uint64_t>(bytes, 0);
  for (std::size_t at = 0;;) {
    const std::uint64_t number = (*load<std::uint64_t>(bytes, at) - first) % kIds;
    const auto next = next_block(bytes, at);
    if (!next) {
      // Nothing marks the end of the last text but the zeros of memory that was not written.
      const Bytes rest =
          bytes.subspan(at + kWord).first(std::min(kLongestText, bytes.size() - at - kWord));
      const auto end = std::ranges::find(rest, std::byte{0});
      ring.push_back({number, text_of({rest.begin(), end})});
      return ring;
    }
    ring.push_back({number, text_of(bytes.subspan(at + kWord, *next - at - kWord))});
    at = *next;
  }
}

Result<std::vector<PhysAddr>> find_rings(const PhysicalMemory& memory) {
  std::vector<PhysAddr> found;
  const RangeSet ram = ram_ranges(memory);
  for (const PhysRange range : ram.ranges()) {
    TRY(for_each_data_chunk(memory, range, [&](PhysAddr at, Bytes bytes) -> Result<bool> {
      for (std::size_t offset = 0; offset + kWord + kBanner.size() <= bytes.size();
           offset += kWord) {
        if (begins_ring(bytes, offset)) {
          found.push_back(at + offset);
        }
      }
      return found.size() >= kMostRings;
    }));
  }
  return found;
}

Result<EarlyRing> longest_ring(const PhysicalMemory& memory) {
  TRY_ASSIGN(const std::vector<PhysAddr> places, find_rings(memory));
  EarlyRing longest;
  std::vector<std::byte> buffer(kMostBytes);
  for (const PhysAddr place : places) {
    TRY_ASSIGN(const ReadExtent got, memory.read(place, buffer));
    // The guest may have written to it since it was found.
    if (const Bytes bytes = Bytes(buffer).first(got.good); begins_ring(bytes, 0)) {
      EarlyRing ring = read_ring(bytes);
      if (ring.size() > longest.size()) {
        longest = std::move(ring);
      }
    }
  }
  return longest;
}

// The table of struct printk_info: sequence (8 bytes), time (8), length of the text (2), facility
// (1), flags and level (1), caller (4), and what a release adds. It is known by the numbers and the
// lengths of the first records, and tells where texts end.
constexpr std::size_t kLengthAt = 16;
constexpr std::size_t kFacilityAt = 18;
constexpr std::size_t kLevelAt = 19;
constexpr std::size_t kCallerAt = 20;
constexpr std::size_t kLeastInfo = 24, kMostInfo = 256;
constexpr std::size_t kCompared = 4;  // records
// A block keeps what was behind the text before printk took its level and its newline away.
constexpr std::size_t kMostBehind = 8;

struct InfoTable {
  PhysAddr address;
  std::size_t stride = 0;
};

bool is_info(Bytes bytes, std::size_t offset, const EarlyRecord& record) {
  const auto length = load<std::uint16_t>(bytes, offset + kLengthAt);
  return load<std::uint64_t>(bytes, offset) == record.number && length &&
         *length <= record.text.size() && record.text.size() - *length <= kMostBehind;
}

// The size of an entry, if the table begins there.
std::optional<std::size_t> stride_at(Bytes bytes, std::size_t offset, const EarlyRing& ring) {
  if (!is_info(bytes, offset, ring[0])) {
    return std::nullopt;
  }
  for (std::size_t stride = kLeastInfo; stride <= kMostInfo; stride += kWord) {
    bool fits = true;
    for (std::size_t i = 1; fits && i < std::min(kCompared, ring.size()); ++i) {
      fits = is_info(bytes, offset + ring[i].number * stride, ring[i]);
    }
    if (fits) {
      return stride;
    }
  }
  return std::nullopt;
}

Result<std::optional<InfoTable>> find_infos(const PhysicalMemory& memory, const EarlyRing& ring) {
  std::optional<InfoTable> found;
  if (ring.size() < 2) {
    return found;
  }
  const RangeSet ram = ram_ranges(memory);
  for (const PhysRange range : ram.ranges()) {
    TRY_ASSIGN(const bool enough,
               for_each_data_chunk(memory, range, [&](PhysAddr at, Bytes bytes) -> Result<bool> {
                 for (std::size_t offset = 0; offset < bytes.size(); offset += kWord) {
                   if (const auto stride = stride_at(bytes, offset, ring)) {
                     found = InfoTable{at + offset, *stride};
                     return true;
                   }
                 }
                 return false;
               }));
    if (enough) {
      break;
    }
  }
  return found;
}

// Takes from the table what it tells of the record, if it is that record's.
void take_info(const PhysicalMemory& memory, const InfoTable& table, const EarlyRecord& early,
               LogRecord& record) {
  std::vector<std::byte> info(kLeastInfo);
  const auto got = memory.read(table.address + early.number * table.stride, info);
  if (!got || got->good < info.size() || !is_info(info, 0, early)) {
    return;
  }
  record.text = record.text.substr(0, *load<std::uint16_t>(info, kLengthAt));
  record.nanoseconds = *load<std::uint64_t>(info, kWord);
  record.facility = *load<std::uint8_t>(info, kFacilityAt);
  record.level = *load<std::uint8_t>(info, kLevelAt) >> 5U;  // behind five bits of flags
  record.caller = load<std::uint32_t>(info, kCallerAt);
}

}  // namespace

Result<LogSummary> read_early_log(const PhysicalMemory& memory,
                                  const std::function<bool(const LogRecord&)>& each) {
  TRY_ASSIGN(const EarlyRing ring, longest_ring(memory));
  if (ring.empty()) {
    return fail(Errc::not_found, "no log of a kernel is in memory");
  }
  TRY_ASSIGN(const std::optional<InfoTable> infos, find_infos(memory, ring));
  LogSummary summary{.callers = infos.has_value()};
  for (const EarlyRecord& early : ring) {
    LogRecord record;
    record.sequence = early.number;
    record.nanoseconds = summary.last_nanoseconds;
    record.text = early.text;
    if (infos) {
      take_info(memory, *infos, early, record);
    }
    summary.last_nanoseconds = record.nanoseconds;
    ++summary.records;
    if (!each(record)) {
      break;
    }
  }
  return summary;
}

Remark remark_on_early_log() {
  return {
      Errc::guest_state,
      "no kernel in memory describes itself (VMCOREINFO), as one that dies while it boots: this "
      "log was found by its form, and may be of an earlier boot"};
}

}  // namespace vmcore::kernel
