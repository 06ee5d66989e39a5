// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/formats/guest_stream/writer.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <utility>

#include "src/base/sys.h"
#include "src/formats/codec.h"
#include "src/formats/elf/notes.h"
#include "src/image/page.h"

namespace vmcore::formats {
namespace {

constexpr std::size_t kLogPart = 64U << 10;
constexpr std::size_t kNotesPart = 1U << 20;
constexpr std::chrono::seconds kAliveEvery{5};

std::vector<std::byte> new_frame() { return std::vector<std::byte>(sizeof(FrameHeader)); }

void append(std::vector<std::byte>& frame, std::span<const std::byte> bytes) {
  frame.insert(frame.end(), bytes.begin(), bytes.end());
}

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

// Adds the bytes to the frame, compressed where they get smaller. Returns the codec's flag.
std::uint32_t append_block(std::vector<std::byte>& frame, std::span<const std::byte> bytes,
                           PageCompressor& compressor) {
  const std::size_t at = frame.size();
  frame.resize(at + compress_room(bytes.size()));
  const auto room = std::span(frame).subspan(at);
  const std::size_t size = compressor.compress(bytes, room);
  if (size == 0) {
    std::ranges::copy(bytes, room.begin());
  }
  frame.resize(at + (size == 0 ? bytes.size() : size));
  return codec_flag(size == 0 ? Codec::none : Codec::zstd);
}

}  // namespace

SendFrame send_to(int file) {
  return [file](std::span<const std::byte> frame) { return sys::write_full(file, frame); };
}

Result<> GuestStreamWriter::send(FrameKind kind, std::vector<std::byte>& frame) {
  if (const std::size_t size = frame.size() - sizeof(FrameHeader); size > kMaxFramePayload) {
    return fail(Errc::limit, "{} bytes do not fit into a frame of the stream", size);
  }
  const std::lock_guard lock(mutex_);
  if (broken_) {
    return tl::unexpected(*broken_);
  }
  if (ended_) {
    return fail(Errc::invalid, "the guest's stream has ended");
  }
  finish_frame(frame, kind, id_, sequence_++);
  if (Result<> sent = send_(frame); !sent) {
    broken_ = sent.error();
    return sent;
  }
  bytes_ += frame.size();
  return {};
}

Result<> GuestStreamWriter::send_payload(FrameKind kind, std::span<const std::byte> payload) {
  std::vector<std::byte> frame = new_frame();
  append(frame, payload);
  return send(kind, frame);
}

Result<> GuestStreamWriter::hello(const GuestHello& hello) {
  if (hello.ram.ranges().size() > kMaxRamRanges) {
    return fail(Errc::limit, "the guest's RAM has {} ranges, more than {}",
                hello.ram.ranges().size(), kMaxRamRanges);
  }
  return send_payload(FrameKind::hello, bytes_of(encode(hello)));
}

Result<> GuestStreamWriter::log(std::string_view text) {
  for (; !text.empty(); text.remove_prefix(std::min(kLogPart, text.size()))) {
    TRY(send_payload(FrameKind::log, bytes_of(text.substr(0, kLogPart))));
  }
  return {};
}

Result<> GuestStreamWriter::begin(const DumpHeader& header) {
  if (header.machine.arch != kHostArch || header.machine.page_size != kPageSize) {
    return fail(Errc::unsupported, "streams can be sent only by x86-64 guests");
  }
  TRY_ASSIGN(map_compressor_, make_compressor(Codec::zstd, {}));
  TRY(send_payload(
      FrameKind::facts,
      bytes_of(encode(StreamFacts{.level = header.level, .crash_time = header.crash_time}))));
  std::vector<std::byte> part;
  for (const Note& note : header.notes) {
    const NotesBlock block = serialise_notes({note});
    if (!part.empty() && part.size() + block.bytes.size() > kNotesPart) {
      TRY(send_payload(FrameKind::notes, part));
      part.clear();
    }
    append(part, block.bytes);
  }
  return part.empty() ? Result<>{} : send_payload(FrameKind::notes, part);
}

Result<> GuestStreamWriter::send_map(Pfn first, std::span<const ul64> words) {
  MapHeader header;
  header.first = first.value;
  header.pages = words.size() * 64;
  std::vector<std::byte> frame = new_frame();
  append(frame, as_bytes(header));
  append_block(frame, std::as_bytes(words), *map_compressor_);
  return send(FrameKind::map, frame);
}

// Only `kept`: what else is RAM, the hello told.
Result<> GuestStreamWriter::plan(const PageSet&, const PageSet& kept) {
  const Pfn end = kept.end();
  std::vector<ul64> words;
  for (PfnRange run = kept.next_run({0}, end, 1); run.count != 0;
       run = kept.next_run(mapped_, end, 1)) {
    const Pfn first{run.first.value / 64 * 64};
    if (first < mapped_) {
      return fail(Errc::invalid, "the windows of a stream must ascend");
    }
    mapped_ = {std::min(first.value + kMaxMapPages, ceil_div(end.value, 64) * 64)};
    words.clear();
    for (Pfn at = first; at < mapped_; at = at + 64) {
      words.emplace_back(kept.word(at));
    }
    TRY(send_map(first, words));
  }
  return {};
}

void GuestStreamWriter::alive() {
  const auto now = std::chrono::steady_clock::now();
  {
    const std::lock_guard lock(mutex_);
    if (now < next_alive_) {
      return;
    }
    next_alive_ = now + kAliveEvery;
  }
  static_cast<void>(send_payload(FrameKind::alive, {}));
}

class GuestStreamWriter::Encoder final : public ShardEncoder {
 public:
  Encoder(GuestStreamWriter& writer, std::unique_ptr<PageCompressor> compressor)
      : writer_(writer), compressor_(std::move(compressor)) {}

  Result<> write(std::span<const PageRun> runs) override {
    for (const PageRun& run : runs) {
      for (std::uint64_t done = 0; done < run.bytes.size() / kPageSize;) {
        const std::uint64_t count =
            std::min(kMaxFramePages - pages_, run.bytes.size() / kPageSize - done);
        PageFrameRun entry;
        entry.first = run.first.value + done;
        entry.count = count;
        runs_.push_back(entry);
        append(bytes_, run.bytes.subspan(done * kPageSize, count * kPageSize));
        pages_ += count;
        done += count;
        if (pages_ == kMaxFramePages) {
          TRY(flush());
        }
      }
    }
    return flush();
  }

 private:
  Result<> flush() {
    if (pages_ == 0) {
      return {};
    }
    frame_.resize(sizeof(FrameHeader));
    PagesHeader header;
    header.runs = static_cast<std::uint32_t>(runs_.size());
    append(frame_, as_bytes(header));
    append(frame_, std::as_bytes(std::span(runs_)));
    header.codec = append_block(frame_, bytes_, *compressor_);
    std::ranges::copy(as_bytes(header), frame_.begin() + sizeof(FrameHeader));
    TRY(writer_.send(FrameKind::pages, frame_));
    writer_.pages_ += pages_;
    pages_ = 0;
    runs_.clear();
    bytes_.clear();
    return {};
  }

  GuestStreamWriter& writer_;
  std::unique_ptr<PageCompressor> compressor_;
  std::vector<PageFrameRun> runs_;  // of the next frame
  std::vector<std::byte> bytes_;
  std::uint64_t pages_ = 0;
  std::vector<std::byte> frame_;
};

Result<std::unique_ptr<ShardEncoder>> GuestStreamWriter::encoder() {
  TRY_ASSIGN(auto compressor, make_compressor(Codec::zstd, {}));
  return std::make_unique<Encoder>(*this, std::move(compressor));
}

Result<> GuestStreamWriter::replace_note(const Note& note) {
  return send_payload(FrameKind::replace_note, serialise_notes({note}).bytes);
}

Result<> GuestStreamWriter::end(const StreamEnd& end) {
  TRY(send_payload(FrameKind::end, bytes_of(encode(end))));
  ended_ = true;
  return {};
}

Result<> GuestStreamWriter::finish(bool incomplete) {
  return end({.incomplete = incomplete, .reason = {}, .pages = pages_});
}

Result<> GuestStreamWriter::abort(std::string_view reason) {
  return end({.incomplete = true, .reason = std::string(reason), .pages = pages_});
}

}  // namespace vmcore::formats
