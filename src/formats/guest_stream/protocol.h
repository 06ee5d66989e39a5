// SPDX-License-Identifier: GPL-2.0-or-later
// The stream that a dying guest's capture environment sends to its host, or writes to a raw disk:
// the kernel log, notes, and the kept pages, in frames that survive a line that breaks, stale bytes
// of an earlier stream, and noise (docs/formats/guest-stream.md).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "src/base/little_endian.h"
#include "src/base/range_set.h"
#include "src/base/result.h"

namespace vmcore::formats {

// The version that writers of this source announce; readers take it and all before it. New kinds of
// frames and new keys leave it as it is, because readers skip what they do not know. It rises where
// a reader of the version before would take something wrong: such a reader refuses the stream. So
// an older guest always sends to a newer host, and hosts are updated before guests.
inline constexpr unsigned kGuestStreamVersion = 1;

// Bytes behind the header of a frame.
inline constexpr std::uint32_t kMaxFramePayload = 2U << 20;
// Pages of one frame: a shard of the conversion.
inline constexpr std::uint64_t kMaxFramePages = 256;
// Pages that one map speaks of.
inline constexpr std::uint64_t kMaxMapPages = 1U << 20;
// What a stream may hold beside its pages: log, notes, maps, frames' headers.
inline constexpr std::uint64_t kBesidePages = 64U << 20;
inline constexpr std::size_t kMaxRamRanges = 1024;

enum class FrameKind : std::uint32_t {
  hello = 1,         // text; the first of its stream, sequence 0
  log = 2,           // text of the kernel log, as dmesg prints it
  facts = 3,         // text
  notes = 4,         // whole ELF notes
  replace_note = 5,  // one ELF note, for the one of its name and type
  map = 6,           // which pages will come
  pages = 7,
  end = 8,    // text
  alive = 9,  // nothing: a dump is being planned
  // Of a stream that is sealed (sealed_stream.h) there are these two only.
  sealed_key = 16,  // a preamble (seal/sealed_box.h), then when it crashed; sequence 0
  sealed = 17,      // a piece
};

// Tells the frames of one crash from those of another.
using StreamId = std::array<std::byte, 16>;
// Never waits for the kernel's entropy.
StreamId random_stream_id();

inline constexpr std::array<unsigned char, 8> kFrameMagic{0xf1, 'v', 'm', 'c', 'o', 'r', 'e', 0x1c};

struct FrameHeader {
  std::array<unsigned char, 8> magic{};
  ul32 kind;
  ul32 size;      // of the payload, which follows
  ul64 sequence;  // of the frame in its stream
  StreamId stream{};
  ul32 payload_crc;  // crc32c
  ul32 header_crc;   // of the fields before
};
static_assert(sizeof(FrameHeader) == 48);

// Fills in the header that `frame` has room for before its payload.
void finish_frame(std::span<std::byte> frame, FrameKind kind, const StreamId& stream,
                  std::uint64_t sequence);

// The payload of `map`: then a bitmap of `pages` bits, compressed with zstd where that makes it
// smaller. A set bit is a page that is kept.
struct MapHeader {
  ul64 first;  // page frame, a multiple of 64
  ul64 pages;  // 64 to kMaxMapPages, a multiple of 64
};

// The payload of `pages`: then `runs` times PageFrameRun, then the bytes of all of them, as one
// block in that codec.
struct PagesHeader {
  ul32 runs;   // 1 to kMaxFramePages
  ul32 codec;  // codec_flag(): 0, or zstd's
};
struct PageFrameRun {
  ul64 first;  // page frame
  ul64 count;
};

// What the guest says of itself before anything else.
struct GuestHello {
  std::string release = {};                      // of the crashed kernel, where it is known already
  std::string tag = {};                          // of a crash on purpose
  unsigned level = 31;                           // that was asked for
  std::optional<std::uint64_t> crash_time = {};  // seconds since the epoch
  bool encrypted_memory = false;                 // so that nothing but the hello comes
  bool pstore = false;  // no crash: the log that pstore kept of an earlier one, and no more
  RangeSet ram = {};    // whole pages
};

// What is known once it is planned.
struct StreamFacts {
  unsigned level = 0;                            // that was reached
  std::optional<std::uint64_t> crash_time = {};  // seconds since the epoch
};

// How it ended, as the guest sees it.
struct StreamEnd {
  bool incomplete = false;  // pages that are in the maps could not be read
  std::string reason = {};  // why it ended early; empty where it did not
  std::uint64_t pages = 0;  // that were sent
};

// The texts of such frames: KEY=VALUE lines. Keys that are not known are skipped, values that make
// no sense Errc::malformed.
std::string encode(const GuestHello& hello);
std::string encode(const StreamFacts& facts);
std::string encode(const StreamEnd& end);
Result<GuestHello> decode_hello(std::string_view text);
Result<StreamFacts> decode_facts(std::string_view text);
Result<StreamEnd> decode_end(std::string_view text);

}  // namespace vmcore::formats
