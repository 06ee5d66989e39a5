// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/formats/guest_stream/reader.h"

#include <algorithm>
#include <utility>

#include "src/formats/elf/notes.h"
#include "src/formats/guest_stream/streamed_pages.h"
#include "src/image/page.h"

namespace vmcore::formats {
namespace {

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class Reader {
 public:
  Reader(ReadSome read, GuestStreamSink& sink, const GuestStreamLimits& limits)
      : frames_(std::move(read)),
        sink_(sink),
        limits_(limits),
        pages_(stream_, limits.kept, [this](Pfn first, std::span<const std::byte> bytes) {
          return told(sink_.pages(first, bytes));
        }) {}

  Result<GuestStream> read();

 private:
  // What a sink fails with is no fault of the stream.
  Result<> told(Result<> result) {
    sink_failed_ = !result;
    return result;
  }

  Result<> await_hello();
  Result<> read_frames();  // until the end
  Result<> take(const Frame& frame);
  // Then its log is taken, and no page.
  bool has_too_much() const { return stream_.hello.ram.size() > limits_.ram; }
  Result<> take_notes(std::span<const std::byte> payload, bool replace);
  Result<> take_map(std::span<const std::byte> payload);
  void conclude();

  FrameReader frames_;
  GuestStreamSink& sink_;
  const GuestStreamLimits& limits_;
  GuestStream stream_;
  StreamedPages pages_;
  StreamId id_{};
  std::uint64_t sequence_ = 0;  // of the last frame
  std::uint64_t missing_ = 0;   // frames
  std::uint64_t payload_ = 0;   // bytes, of all frames
  std::uint64_t notes_size_ = 0;
  bool log_over_ = false;
  bool ended_ = false;
  bool sink_failed_ = false;
};

Result<> Reader::await_hello() {
  while (true) {
    auto frame = frames_.next();
    if (!frame) {
      return in_context(std::move(frame).error(), "no guest's stream arrived");
    }
    if (!*frame && frames_.skipped() == 0) {
      return fail(Errc::not_found, "no guest's stream arrived, nor anything else");
    }
    if (!*frame) {
      return fail(Errc::not_found, "no guest's stream arrived, but {} bytes of other data",
                  frames_.skipped());
    }
    const FrameHeader& header = (*frame)->header;
    if (header.kind == static_cast<std::uint32_t>(FrameKind::hello) && header.sequence == 0) {
      TRY_ASSIGN(stream_.hello, decode_hello(text_of((*frame)->payload)));
      id_ = header.stream;
      break;
    }
    if (header.kind == static_cast<std::uint32_t>(FrameKind::sealed_key)) {
      return fail(Errc::denied,
                  "the stream is sealed to a key: give the file of the secret key (--key)");
    }
    TRY(frames_.skip(**frame));
  }
  if (!has_too_much()) {
    for (const PhysRange& range : stream_.hello.ram.ranges()) {
      stream_.ram.insert({pfn_of(range.begin), range.size / kPageSize});
    }
  }
  return told(sink_.hello(stream_.hello));
}

Result<> Reader::read_frames() {
  const std::uint64_t most = std::min(stream_.hello.ram.size(), limits_.ram) + kBesidePages;
  while (!ended_) {
    TRY_ASSIGN(const auto frame, frames_.next());
    if (!frame) {
      return fail(Errc::truncated, "the stream was cut off");
    }
    const FrameHeader& header = frame->header;
    if (header.stream != id_) {
      if (header.kind == static_cast<std::uint32_t>(FrameKind::hello) && header.sequence == 0) {
        return fail(Errc::truncated, "the stream of another crash began");
      }
      TRY(frames_.skip(*frame));
      continue;
    }
    if (header.sequence <= sequence_) {  // again
      TRY(frames_.skip(*frame));
      continue;
    }
    missing_ += header.sequence - sequence_ - 1;
    sequence_ = header.sequence;
    payload_ += frame->payload.size() + sizeof(FrameHeader);
    if (payload_ > most) {
      return fail(Errc::limit, "more data arrived than a guest of {} MiB can send",
                  stream_.hello.ram.size() >> 20);
    }
    TRY(take(*frame));
  }
  return {};
}

Result<> Reader::take(const Frame& frame) {
  const auto kind = static_cast<FrameKind>(std::uint32_t{frame.header.kind});
  if (kind == FrameKind::log) {
    return log_over_ ? Result<>{} : told(sink_.log(text_of(frame.payload)));
  }
  if (!std::exchange(log_over_, true)) {
    TRY(told(sink_.log_over()));
  }
  switch (kind) {
    case FrameKind::facts: {
      TRY_ASSIGN(stream_.facts, decode_facts(text_of(frame.payload)));
      return {};
    }
    case FrameKind::notes:
      return take_notes(frame.payload, false);
    case FrameKind::replace_note:
      return take_notes(frame.payload, true);
    case FrameKind::map:
      return take_map(frame.payload);
    case FrameKind::pages:
      return pages_.take_pages(frame.payload);
    case FrameKind::end: {
      TRY_ASSIGN(const StreamEnd end, decode_end(text_of(frame.payload)));
      ended_ = true;
      stream_.incomplete = end.incomplete;
      if (!end.reason.empty()) {
        stream_.broken = "the guest gave up: " + end.reason;
      } else if (end.pages != pages_.came()) {
        stream_.broken = fmt::format("the guest reports that it sent {} pages, but {} arrived",
                                     end.pages, pages_.came());
      }
      return {};
    }
    default:
      return {};  // alive, and those of later releases
  }
}

Result<> Reader::take_notes(std::span<const std::byte> payload, bool replace) {
  notes_size_ += payload.size();
  if (notes_size_ > kMaxNotesSize) {
    return fail(Errc::limit, "the notes of the stream have more than {} MiB", kMaxNotesSize >> 20);
  }
  TRY_ASSIGN(std::vector<Note> notes, parse_notes(payload, 0));
  if (stream_.notes.size() + notes.size() > kMaxNotes) {
    return fail(Errc::limit, "the stream has more than {} notes", kMaxNotes);
  }
  for (Note& note : notes) {
    const auto old = std::ranges::find_if(stream_.notes, [&](const Note& other) {
      return other.name == note.name && other.type == note.type;
    });
    if (replace && old != stream_.notes.end()) {
      *old = std::move(note);
    } else {
      stream_.notes.push_back(std::move(note));
    }
  }
  return {};
}

Result<> Reader::take_map(std::span<const std::byte> payload) {
  if (has_too_much()) {
    return fail(Errc::limit, "the guest announces {} MiB of RAM, more than it can have ({} MiB)",
                stream_.hello.ram.size() >> 20, limits_.ram >> 20);
  }
  return pages_.take_map(payload);
}

void Reader::conclude() {
  if (missing_ != 0 && stream_.broken.empty()) {
    stream_.broken = fmt::format("{} frames are missing or damaged", missing_);
  }
  if (frames_.skipped() != 0) {
    stream_.remarks.push_back(
        {Errc::malformed, fmt::format("{} bytes between the frames of the guest's stream were "
                                      "skipped ({} damaged frames)",
                                      frames_.skipped(), frames_.damaged())});
  }
}

Result<GuestStream> Reader::read() {
  TRY(await_hello());
  if (const Result<> done = read_frames(); !done) {
    if (sink_failed_) {
      return tl::unexpected(done.error());
    }
    stream_.broken = done.error().message;
  }
  if (!std::exchange(log_over_, true)) {
    TRY(sink_.log_over());
  }
  conclude();
  return std::move(stream_);
}

}  // namespace

Result<GuestStream> read_guest_stream(ReadSome read, GuestStreamSink& sink,
                                      const GuestStreamLimits& limits) {
  return Reader(std::move(read), sink, limits).read();
}

}  // namespace vmcore::formats
