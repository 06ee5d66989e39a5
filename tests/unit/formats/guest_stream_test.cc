// SPDX-License-Identifier: GPL-2.0-or-later
// The guest's stream: what is written is read, and what is not meant well does no harm.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "src/formats/codec.h"
#include "src/formats/crc32c.h"
#include "src/formats/guest_stream/reader.h"
#include "src/formats/guest_stream/writer.h"
#include "src/image/page.h"
#include "tests/builders/dump_builder.h"

namespace vmcore::formats {
namespace {

using builders::Bytes;
using Frames = std::vector<Bytes>;

constexpr StreamId kId{std::byte{1}};

// What a sink was given.
struct Taken : GuestStreamSink {
  Result<> hello(const GuestHello&) override {
    ++hellos;
    return {};
  }
  Result<> log(std::string_view text) override {
    log_text += text;
    return {};
  }
  Result<> log_over() override {
    ++logs_over;
    return {};
  }
  Result<> pages(Pfn first, std::span<const std::byte> bytes) override {
    for (std::size_t at = 0; at < bytes.size(); at += kPageSize) {
      const auto page = bytes.subspan(at, kPageSize);
      const bool first_time =
          memory.emplace(first.value + at / kPageSize, Bytes(page.begin(), page.end())).second;
      EXPECT_TRUE(first_time);
    }
    return room < memory.size() ? fail(Errc::no_space, "full") : Result<>{};
  }
  int hellos = 0;
  int logs_over = 0;
  std::string log_text;
  std::map<std::uint64_t, Bytes> memory;
  std::size_t room = 1U << 20;
};

// Gives a few bytes at a time, as a line does.
ReadSome line_of(const Bytes& bytes, std::size_t step) {
  return [&bytes, step, at = std::size_t{0}](std::span<std::byte> out) mutable {
    const std::size_t size = std::min({step, out.size(), bytes.size() - at});
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), size, out.begin());
    at += size;
    return Result<std::size_t>(size);
  };
}

Bytes joined(const Frames& frames) {
  Bytes all;
  for (const Bytes& frame : frames) {
    all.insert(all.end(), frame.begin(), frame.end());
  }
  return all;
}

struct Received {
  Result<GuestStream> stream;
  Taken taken;
};

Received receive(const Bytes& bytes, const GuestStreamLimits& limits = {},
                 std::size_t step = 1000) {
  Taken taken;
  auto stream = read_guest_stream(line_of(bytes, step), taken, limits);
  return {std::move(stream), std::move(taken)};
}
Received receive(const Frames& frames, const GuestStreamLimits& limits = {}) {
  return receive(joined(frames), limits);
}

Bytes page_of(std::uint64_t pfn) {
  Bytes page(kPageSize);
  for (std::size_t i = 0; i < kPageSize; ++i) {
    page[i] = static_cast<std::byte>(pfn * 31 + i / 64);
  }
  return page;
}

GuestHello hello_of(std::uint64_t ram_pages) {
  GuestHello hello{.release = "6.1.0", .tag = "test-1", .level = 31, .crash_time = 1700000000};
  hello.ram.add({{0}, ram_pages * kPageSize});
  return hello;
}

DumpHeader header() {
  DumpHeader header;
  header.machine.arch = Arch::x86_64;
  header.notes = {builders::prstatus_note(1, 2), builders::prstatus_note(3, 4),
                  builders::vmcoreinfo_note()};
  header.level = 31;
  header.crash_time = 1700000001;
  return header;
}

// Two portions of pages of 1000 pages of RAM: 300 from 100 on, and every third from 600 to 899.
Frames make_stream(StreamId id = kId) {
  Frames frames;
  GuestStreamWriter writer(
      [&](std::span<const std::byte> frame) {
        frames.emplace_back(frame.begin(), frame.end());
        return Result<>{};
      },
      id);
  PageSet ram, kept;
  ram.insert({{0}, 1000});
  kept.insert({{100}, 300});
  std::vector<Bytes> contents;
  std::vector<PageRun> scattered;
  for (std::uint64_t pfn = 600; pfn < 900; pfn += 3) {
    kept.insert({{pfn}, 1});
    contents.push_back(page_of(pfn));
  }
  for (std::size_t i = 0; i < contents.size(); ++i) {
    scattered.push_back({{600 + 3 * i}, contents[i]});
  }
  kept.index();
  Bytes block;
  for (std::uint64_t pfn = 100; pfn < 400; ++pfn) {
    const Bytes page = page_of(pfn);
    block.insert(block.end(), page.begin(), page.end());
  }
  const PageRun run{{100}, block};
  EXPECT_TRUE(writer.hello(hello_of(1000)));
  EXPECT_TRUE(writer.log("[    0.000000] Linux version\n"));
  EXPECT_TRUE(writer.log("[    9.000000] Kernel panic - not syncing: test\n"));
  EXPECT_TRUE(writer.begin(header()));
  EXPECT_TRUE(writer.plan(ram, kept));
  const auto encoder = *writer.encoder();
  EXPECT_TRUE(encoder->write({&run, 1}));
  EXPECT_TRUE(encoder->write(scattered));
  EXPECT_TRUE(writer.finish(false));
  EXPECT_FALSE(writer.log("after the end"));
  EXPECT_EQ(writer.bytes(), joined(frames).size());
  return frames;
}

FrameKind kind_of(const Bytes& frame) {
  return static_cast<FrameKind>(std::uint32_t{load<FrameHeader>(frame, 0)->kind});
}

std::size_t first_of(const Frames& frames, FrameKind kind) {
  return static_cast<std::size_t>(
      std::ranges::find_if(frames, [&](const Bytes& frame) { return kind_of(frame) == kind; }) -
      frames.begin());
}

// A frame that is whole, whatever it says.
Bytes make_frame(FrameKind kind, std::uint64_t sequence, std::span<const std::byte> payload,
                 StreamId id = kId) {
  FrameHeader header;
  header.magic = kFrameMagic;
  header.kind = static_cast<std::uint32_t>(kind);
  header.size = static_cast<std::uint32_t>(payload.size());
  header.sequence = sequence;
  header.stream = id;
  header.payload_crc = crc32c(payload);
  header.header_crc = crc32c(as_bytes(header).first(44));
  Bytes frame(sizeof header);
  std::memcpy(frame.data(), &header, sizeof header);
  frame.insert(frame.end(), payload.begin(), payload.end());
  return frame;
}

Bytes make_frame(FrameKind kind, std::uint64_t sequence, std::string_view text) {
  return make_frame(kind, sequence, std::as_bytes(std::span(text.data(), text.size())));
}

Bytes map_payload(std::uint64_t first, std::uint64_t pages, std::span<const std::byte> bitmap) {
  MapHeader header;
  header.first = first;
  header.pages = pages;
  Bytes payload(sizeof header);
  std::memcpy(payload.data(), &header, sizeof header);
  payload.insert(payload.end(), bitmap.begin(), bitmap.end());
  return payload;
}

Bytes pages_payload(std::vector<PfnRange> runs, std::uint32_t codec,
                    std::span<const std::byte> data, std::optional<std::uint32_t> count = {}) {
  PagesHeader header;
  header.runs = count.value_or(static_cast<std::uint32_t>(runs.size()));
  header.codec = codec;
  Bytes payload(sizeof header);
  std::memcpy(payload.data(), &header, sizeof header);
  for (const PfnRange& run : runs) {
    PageFrameRun entry;
    entry.first = run.first.value;
    entry.count = run.count;
    const auto bytes = as_bytes(entry);
    payload.insert(payload.end(), bytes.begin(), bytes.end());
  }
  payload.insert(payload.end(), data.begin(), data.end());
  return payload;
}

// A stream of 1000 pages that announces page frames 64 to 127, then says `rest`.
Frames announced(std::vector<std::pair<FrameKind, Bytes>> rest) {
  const Bytes all(8, std::byte{0xff});
  Frames frames{make_frame(FrameKind::hello, 0, encode(hello_of(1000))),
                make_frame(FrameKind::map, 1, map_payload(64, 64, all))};
  for (auto& [kind, payload] : rest) {
    frames.push_back(make_frame(kind, frames.size(), payload));
  }
  return frames;
}

void expect_broken(const Received& received, const std::string& why) {
  ASSERT_TRUE(received.stream) << received.stream.error().message;
  EXPECT_NE(received.stream->broken.find(why), std::string::npos) << received.stream->broken;
}

TEST(Crc32c, IsThatOfTheRfc) {
  EXPECT_EQ(crc32c({}), 0U);
  EXPECT_EQ(crc32c(Bytes(32)), 0x8a9136aaU);
  EXPECT_EQ(crc32c(Bytes(32, std::byte{0xff})), 0x62a8ab43U);
  const std::string_view digits = "123456789";
  EXPECT_EQ(crc32c(std::as_bytes(std::span(digits.data(), digits.size()))), 0xe3069283U);
}

TEST(GuestStream, IsReadAsItWasWritten) {
  const Received received = receive(make_stream());
  ASSERT_TRUE(received.stream) << received.stream.error().message;
  const GuestStream& stream = *received.stream;
  EXPECT_EQ(stream.broken, "");
  EXPECT_FALSE(stream.incomplete);
  EXPECT_TRUE(stream.remarks.empty());
  EXPECT_EQ(stream.hello.release, "6.1.0");
  EXPECT_EQ(stream.hello.tag, "test-1");
  EXPECT_EQ(stream.hello.crash_time, 1700000000U);
  EXPECT_EQ(stream.facts.crash_time, 1700000001U);
  EXPECT_EQ(stream.facts.level, 31U);
  ASSERT_EQ(stream.notes.size(), 3U);
  EXPECT_EQ(stream.notes[1].desc, builders::prstatus_note(3, 4).desc);
  EXPECT_EQ(stream.ram.count(), 1000U);
  EXPECT_EQ(stream.kept.count(), 400U);
  EXPECT_EQ(stream.had.count(), 400U);
  EXPECT_EQ(received.taken.hellos, 1);
  EXPECT_EQ(received.taken.logs_over, 1);
  EXPECT_EQ(received.taken.log_text,
            "[    0.000000] Linux version\n[    9.000000] Kernel panic - not syncing: test\n");
  for (const auto& [pfn, page] : received.taken.memory) {
    EXPECT_EQ(page, page_of(pfn)) << pfn;
  }
}

TEST(GuestStream, PlansAscend) {
  Frames frames;
  GuestStreamWriter writer(
      [&](std::span<const std::byte> frame) {
        frames.emplace_back(frame.begin(), frame.end());
        return Result<>{};
      },
      kId);
  PageSet ram, low, high;
  low.insert({{70}, 10});
  high.insert({{(5U << 20) + 3}, 2});  // maps of nothing are not sent
  ASSERT_TRUE(writer.hello(hello_of(8U << 20)));
  ASSERT_TRUE(writer.begin(header()));
  ASSERT_TRUE(writer.plan(ram, low));
  ASSERT_TRUE(writer.plan(ram, high));
  EXPECT_FALSE(writer.plan(ram, low));
  ASSERT_TRUE(writer.finish(true));
  EXPECT_EQ(std::ranges::count(frames, FrameKind::map, kind_of), 2);
  const Received received = receive(frames);
  ASSERT_TRUE(received.stream);
  EXPECT_TRUE(received.stream->incomplete);
  EXPECT_EQ(received.stream->kept.count(), 12U);
}

TEST(GuestStream, ANoteIsReplaced) {
  Frames frames = make_stream();
  Note note = builders::vmcoreinfo_note();
  note.desc.assign(5, std::byte{'x'});
  GuestStreamWriter writer(
      [&](std::span<const std::byte> frame) {
        frames = {Bytes(frame.begin(), frame.end())};
        return Result<>{};
      },
      kId);
  const Frames stream = make_stream();
  const std::size_t end = stream.size() - 1;
  ASSERT_TRUE(writer.replace_note(note));
  const Bytes replacing(frames[0].begin() + sizeof(FrameHeader), frames[0].end());
  Frames all(stream.begin(), stream.begin() + static_cast<std::ptrdiff_t>(end));
  all.push_back(make_frame(FrameKind::replace_note, end, replacing));
  const Bytes last(stream[end].begin() + sizeof(FrameHeader), stream[end].end());
  all.push_back(make_frame(FrameKind::end, end + 1, last));
  const Received received = receive(all);
  ASSERT_TRUE(received.stream);
  EXPECT_EQ(received.stream->broken, "");
  ASSERT_EQ(received.stream->notes.size(), 3U);
  EXPECT_EQ(received.stream->notes[2].desc.size(), 5U);
}

TEST(GuestStream, ALineThatFailsEndsTheWriting) {
  int frames = 0;
  GuestStreamWriter writer(
      [&](std::span<const std::byte>) {
        return ++frames == 2 ? fail(Errc::io, "nobody reads") : Result<>{};
      },
      kId);
  EXPECT_TRUE(writer.hello(hello_of(8)));
  EXPECT_FALSE(writer.log("text"));
  EXPECT_FALSE(writer.abort("it failed"));
  EXPECT_EQ(frames, 2);
}

TEST(GuestStream, NoiseAndStaleFramesAreSkipped) {
  StreamId other{std::byte{2}};
  Frames stale = make_stream(other);
  stale.erase(stale.begin());  // the tail of an earlier crash
  Bytes bytes(3000, std::byte{0xf1});
  const Bytes tail = joined(stale);
  bytes.insert(bytes.end(), tail.begin() + 17, tail.end());
  const Bytes stream = joined(make_stream());
  bytes.insert(bytes.end(), stream.begin(), stream.end());
  for (const std::size_t step : {std::size_t{1}, std::size_t{47}, bytes.size()}) {
    const Received received = receive(bytes, {}, step);
    ASSERT_TRUE(received.stream) << received.stream.error().message;
    EXPECT_EQ(received.stream->broken, "");
    EXPECT_EQ(received.taken.memory.size(), 400U);
    ASSERT_EQ(received.stream->remarks.size(), 1U);
  }
}

TEST(GuestStream, WhatFollowsTheEndIsNotRead) {
  Frames frames = make_stream();
  frames.push_back(Bytes(5000, std::byte{7}));
  const Received received = receive(frames);
  ASSERT_TRUE(received.stream);
  EXPECT_EQ(received.stream->broken, "");
}

TEST(GuestStream, IsKeptUpToWhereItIsCutOff) {
  const Frames frames = make_stream();
  Bytes bytes;
  for (std::size_t count = 0; count < frames.size(); ++count) {
    for (const std::size_t more : {std::size_t{0}, std::size_t{20}, frames[count].size() - 1}) {
      Bytes part = bytes;
      part.insert(part.end(), frames[count].begin(),
                  frames[count].begin() + static_cast<std::ptrdiff_t>(more));
      const Received received = receive(part);
      if (count == 0) {
        ASSERT_FALSE(received.stream);
        EXPECT_EQ(received.stream.error().code, Errc::not_found);
        continue;
      }
      expect_broken(received, "cut off");
      EXPECT_EQ(received.stream->had.count(), received.taken.memory.size());
    }
    bytes.insert(bytes.end(), frames[count].begin(), frames[count].end());
  }
}

TEST(GuestStream, ADamagedFrameIsMissing) {
  Frames frames = make_stream();
  const std::size_t number = first_of(frames, FrameKind::pages);
  frames[number][100] ^= std::byte{1};
  const Received received = receive(frames);
  expect_broken(received, "400 pages, but 144 arrived");
  EXPECT_EQ(received.stream->kept.count(), 400U);
}

// All pages came, and the end says so: only the gap in the numbers tells that something is missing.
TEST(GuestStream, AFrameThatIsMissingIsToldWhereAllPagesCame) {
  Frames frames = make_stream();
  const auto log = std::ranges::find_if(frames, [](const Bytes& frame) {
    return load<FrameHeader>(frame, 0)->kind == static_cast<std::uint32_t>(FrameKind::log);
  });
  ASSERT_NE(log, frames.end());
  frames.erase(log);
  const auto [stream, taken] = receive(frames);
  ASSERT_TRUE(stream);
  EXPECT_EQ(taken.memory.size(), 400U);
  EXPECT_EQ(stream->broken, "1 frames are missing or damaged");
}

// A line ends its portions anywhere, also inside the first bytes of a header, and behind noise.
TEST(GuestStream, AHeaderMayComeInTwoPortions) {
  const Frames frames = make_stream();
  const Bytes all = joined(frames);
  for (std::size_t cut = 1; cut < sizeof(FrameHeader); ++cut) {
    Bytes noisy(sizeof(FrameHeader) * 4 - cut, std::byte{'#'});
    const std::size_t first = noisy.size() + cut;
    noisy.insert(noisy.end(), all.begin(), all.end());
    std::size_t at = 0;
    const auto read = [&](std::span<std::byte> out) {
      const std::size_t portion = at < first ? first - at : noisy.size() - at;
      const std::size_t size = std::min(portion, out.size());
      std::copy_n(noisy.begin() + static_cast<std::ptrdiff_t>(at), size, out.begin());
      at += size;
      return Result<std::size_t>(size);
    };
    Taken taken;
    const auto stream = read_guest_stream(read, taken, {});
    ASSERT_TRUE(stream) << cut << ": " << stream.error().message;
    EXPECT_EQ(stream->broken, "") << cut;
    EXPECT_EQ(taken.memory.size(), 400U) << cut;
  }
}

TEST(GuestStream, FramesThatComeAgainAreSkipped) {
  Frames frames = make_stream();
  const std::size_t number = first_of(frames, FrameKind::pages);
  frames.insert(frames.begin() + static_cast<std::ptrdiff_t>(number), frames[number]);
  frames.insert(frames.begin() + 2, frames[0]);
  const Received received = receive(frames);
  ASSERT_TRUE(received.stream);
  EXPECT_EQ(received.stream->broken, "");
  EXPECT_EQ(received.taken.hellos, 1);
}

TEST(GuestStream, AnotherCrashEndsIt) {
  Frames frames = make_stream();
  frames.pop_back();
  const Frames next = make_stream({std::byte{9}});
  frames.insert(frames.end(), next.begin(), next.end());
  expect_broken(receive(frames), "another crash");
}

TEST(GuestStream, NoiseIsBounded) {
  std::uint64_t given = 0;
  Taken taken;
  const auto noise = [&](std::span<std::byte> out) {
    std::ranges::fill(out, std::byte{0xf1});
    given += out.size();
    return Result<std::size_t>(out.size());
  };
  EXPECT_FALSE(read_guest_stream(noise, taken, {}));
  EXPECT_LT(given, 2 * FrameReader::kMaxSkipped);
}

TEST(GuestStream, AnEndlessOneIsBounded) {
  // Log for ever: it may have what is beside the pages.
  std::uint64_t sequence = 0;
  Bytes frame = make_frame(FrameKind::hello, 0, encode(hello_of(8)));
  std::size_t at = 0;
  const auto endless = [&](std::span<std::byte> out) {
    if (at == frame.size()) {
      frame = make_frame(FrameKind::log, ++sequence, std::string(1U << 20, 'x'));
      at = 0;
    }
    const std::size_t size = std::min(out.size(), frame.size() - at);
    std::copy_n(frame.begin() + static_cast<std::ptrdiff_t>(at), size, out.begin());
    at += size;
    return Result<std::size_t>(size);
  };
  Taken taken;
  const auto stream = read_guest_stream(endless, taken, {});
  ASSERT_TRUE(stream);
  EXPECT_NE(stream->broken.find("more data arrived"), std::string::npos) << stream->broken;
  EXPECT_LE(sequence, 65U);
}

TEST(GuestStream, LiesAreSalvagedUpToThem) {
  const Bytes page(kPageSize, std::byte{5});
  const auto good = std::pair{FrameKind::pages, pages_payload({{{64}, 1}}, 0, page)};
  const auto lie = [&](Bytes payload, const std::string& why) {
    const Received received = receive(announced({good, {FrameKind::pages, std::move(payload)}}));
    expect_broken(received, why);
    EXPECT_EQ(received.taken.memory.size(), 1U) << why;
  };
  lie(pages_payload({{{63}, 1}}, 0, page), "not announced");
  lie(pages_payload({{{127}, 2}}, 0, Bytes(2 * kPageSize)), "not announced");
  lie(pages_payload({{{64}, 1}}, 0, page), "arrived before");
  lie(pages_payload({{{1ULL << 62}, 1}}, 0, page), "1 pages at page frame");
  lie(pages_payload({{{65}, ~0ULL}}, 0, page), "pages at page frame");
  lie(pages_payload({{{65}, 0}}, 0, page), "0 pages at");
  lie(pages_payload({{{65}, 2}}, 0, page), "instead of");
  lie(pages_payload({{{65}, 1}}, 0, Bytes(kPageSize + 1)), "instead of");
  lie(pages_payload({{{65}, 1}}, 2, page), "codec");
  lie(pages_payload({{{65}, 1}}, 0x20, page), "zstd");
  lie(pages_payload({}, 0, page), "valid header");
  lie(pages_payload({{{65}, 1}}, 0, {}, 9999), "valid header");
  lie(pages_payload({{{65}, 1}}, 0, {}, 200), "too short");
  lie(Bytes(3), "valid header");
}

TEST(GuestStream, APageTwiceInOneFrame) {
  const Received received = receive(announced(
      {{FrameKind::pages, pages_payload({{{65}, 1}, {{65}, 1}}, 0, Bytes(2 * kPageSize))}}));
  expect_broken(received, "twice");
}

TEST(GuestStream, WhatIsCompressedHasItsSize) {
  const auto compressor = *make_compressor(Codec::zstd, {});
  const Bytes large(64U << 20);
  Bytes bomb(compress_room(large.size()));
  bomb.resize(compressor->compress(large, bomb));
  EXPECT_LT(bomb.size(), 64U << 10);
  expect_broken(receive(announced({{FrameKind::pages, pages_payload({{{64}, 1}}, 0x20, bomb)}})),
                "zstd");
  expect_broken(receive(announced({{FrameKind::map, map_payload(128, 64, bomb)}})), "zstd");
}

TEST(GuestStream, MapsLieInRamAndAscend) {
  const Bytes all(8, std::byte{0xff});
  const auto map = [&](std::uint64_t first, std::uint64_t pages, const Bytes& bitmap) {
    return receive(announced({{FrameKind::map, map_payload(first, pages, bitmap)}}));
  };
  expect_broken(map(960, 64, all), "outside of the announced RAM");
  expect_broken(map(64, 64, all), "a map of");
  expect_broken(map(129, 64, all), "a map of");
  expect_broken(map(128, 0, {}), "a map of");
  expect_broken(map(128, 2U << 20, all), "a map of");
  expect_broken(map(~63ULL, 64, all), "a map of");
  expect_broken(receive(announced({{FrameKind::map, Bytes(5)}})), "a map cannot have");
}

TEST(GuestStream, TheRoomIsALimit) {
  const Frames frames = make_stream();
  const Received too_many = receive(frames, {.kept = 399 * kPageSize});
  expect_broken(too_many, "room");
  EXPECT_EQ(too_many.stream->kept.count(), 400U);
  EXPECT_EQ(too_many.stream->had.count(), 399U);
  EXPECT_EQ(too_many.taken.memory.size(), 399U);
  const Received too_large = receive(frames, {.ram = 999 * kPageSize});
  expect_broken(too_large, "more than it can have");
  EXPECT_FALSE(too_large.taken.log_text.empty());
  EXPECT_TRUE(too_large.taken.memory.empty());
  EXPECT_EQ(too_large.stream->ram.count(), 0U);
}

TEST(GuestStream, ASinkThatFailsIsNoFaultOfTheStream) {
  Taken taken;
  taken.room = 3;
  const Bytes bytes = joined(make_stream());
  const auto stream = read_guest_stream(line_of(bytes, 100), taken, {});
  ASSERT_FALSE(stream);
  EXPECT_EQ(stream.error().code, Errc::no_space);
}

TEST(GuestStream, ALineThatGoesSilentIsToldAndSalvaged) {
  Frames frames = make_stream();
  frames.pop_back();
  const Bytes bytes = joined(frames);
  auto line = line_of(bytes, 100);
  const ReadSome silent = [&](std::span<std::byte> out) -> Result<std::size_t> {
    TRY_ASSIGN(const std::size_t got, line(out));
    return got != 0 ? Result<std::size_t>(got) : fail(Errc::io, "silent for 5 s");
  };
  Taken taken;
  const auto stream = read_guest_stream(silent, taken, {});
  ASSERT_TRUE(stream);
  EXPECT_EQ(stream->broken, "silent for 5 s");
  EXPECT_EQ(stream->had.count(), 400U);
}

TEST(GuestStream, TheGuestsReasonIsKept) {
  Frames frames{make_frame(FrameKind::hello, 0, encode(hello_of(8))),
                make_frame(FrameKind::end, 1,
                           encode(StreamEnd{.incomplete = true, .reason = "deadline\nPAGES=7"}))};
  expect_broken(receive(frames), "the guest gave up: deadline PAGES=7");
}

TEST(GuestStream, OfPstore) {
  const Received received =
      receive(Frames{make_frame(FrameKind::hello, 0, encode(GuestHello{.pstore = true})),
                     make_frame(FrameKind::log, 1, "Panic#1 Part1\n"),
                     make_frame(FrameKind::end, 2, encode(StreamEnd{}))});
  ASSERT_TRUE(received.stream);
  EXPECT_TRUE(received.stream->hello.pstore);
  EXPECT_EQ(received.stream->broken, "");
  EXPECT_FALSE(decode_hello(encode(hello_of(8)))->pstore);
}

// A guest that is newer than this host: by what this version allows, and beyond it.
TEST(GuestStream, OfNewerGuests) {
  const std::string same = encode(hello_of(8)) + "OF_LATER=1\n";
  const auto later = static_cast<FrameKind>(31);
  const Received received =
      receive(Frames{make_frame(FrameKind::hello, 0, same), make_frame(later, 1, "anything"),
                     make_frame(FrameKind::log, 2, "a line\n"),
                     make_frame(FrameKind::end, 3, encode(StreamEnd{}))});
  ASSERT_TRUE(received.stream) << received.stream.error().message;
  EXPECT_EQ(received.stream->broken, "");
  const auto refused = receive(Frames{make_frame(FrameKind::hello, 0, "VERSION=2\n")}).stream;
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::unsupported);
  EXPECT_NE(refused.error().message.find("update vmcorectl on the host"), std::string::npos);
}

TEST(GuestStream, HellosThatMakeNoSense) {
  const auto hello = [](const std::string& text) {
    return receive(Frames{make_frame(FrameKind::hello, 0, text)}).stream;
  };
  EXPECT_EQ(hello("").error().code, Errc::malformed);
  EXPECT_EQ(hello("VERSION=0\n").error().code, Errc::malformed);
  for (const char* ram : {"", "-", "1000", "1000-", "1000-1000", "2000-1000", "1001-2000", "0-1001",
                          "0-8000000000000000", "0x0-0x1000"}) {
    const auto stream = hello(std::string("VERSION=1\nRAM=") + ram + "\n");
    ASSERT_FALSE(stream) << ram;
    EXPECT_EQ(stream.error().code, Errc::malformed) << ram;
  }
  std::string many = "VERSION=1\n";
  for (std::uint64_t i = 0; i <= kMaxRamRanges; ++i) {
    many += fmt::format("RAM={:x}-{:x}\n", i * 8192, i * 8192 + 4096);
  }
  EXPECT_EQ(hello(many).error().code, Errc::limit);
  EXPECT_TRUE(hello("VERSION=1\nLATER=yes\nno line\nTAG=" + std::string(5000, 't')));
}

}  // namespace
}  // namespace vmcore::formats
