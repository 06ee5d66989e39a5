#include "src/formats/guest_stream_reader.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "src/formats/codec.h"
#include "src/formats/notes.h"
#include "src/formats/page.h"

namespace vmcore::formats {
namespace {

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class Reader {
 public:
  Reader(ReadSome read, GuestStreamSink& sink, const GuestStreamLimits& limits)
      : frames_(std::move(read)), sink_(sink), limits_(limits) {}

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
  Result<> add_word(Pfn at, std::uint64_t bits);
  Result<> take_pages(std::span<const std::byte> payload);
  Result<> check_run(PfnRange run) const;
  // The first bytes are the run's.
  Result<> keep(PfnRange run, std::span<const std::byte> bytes);
  // The bytes of a block that has exactly that size when it is decompressed.
  Result<std::span<const std::byte>> unpack(std::span<const std::byte> data, std::uint32_t codec,
                                            std::size_t size);
  void conclude();

  FrameReader frames_;
  GuestStreamSink& sink_;
  const GuestStreamLimits& limits_;
  GuestStream stream_;
  StreamId id_{};
  std::uint64_t sequence_ = 0;  // of the last frame
  std::uint64_t missing_ = 0;   // frames
  std::uint64_t payload_ = 0;   // bytes, of all frames
  std::uint64_t notes_size_ = 0;
  std::uint64_t pages_ = 0;
  Pfn mapped_{0};
  bool log_over_ = false;
  bool ended_ = false;
  bool sink_failed_ = false;
  std::unique_ptr<PageDecompressor> decompressor_;
  std::vector<std::byte> unpacked_;
};

Result<> Reader::await_hello() {
  while (true) {
    auto frame = frames_.next();
    if (!frame) {
      return in_context(std::move(frame).error(), "no guest's stream came");
    }
    if (!*frame) {
      return fail(Errc::not_found, "no guest's stream came, but {} bytes of something else",
                  frames_.skipped());
    }
    const FrameHeader& header = (*frame)->header;
    if (header.kind == static_cast<std::uint32_t>(FrameKind::hello) && header.sequence == 0) {
      TRY_ASSIGN(stream_.hello, decode_hello(text_of((*frame)->payload)));
      id_ = header.stream;
      break;
    }
    if (header.kind == static_cast<std::uint32_t>(FrameKind::sealed_key)) {
      return fail(Errc::denied, "it is sealed to a key: name the file of the secret one (--key)");
    }
    TRY(frames_.skip(**frame));
  }
  if (!has_too_much()) {
    for (const PhysRange& range : stream_.hello.ram.ranges()) {
      stream_.ram.insert({{range.begin.value / kPageSize}, range.size / kPageSize});
    }
  }
  return told(sink_.hello(stream_.hello));
}

Result<> Reader::read_frames() {
  const std::uint64_t most = std::min(stream_.hello.ram.size(), limits_.ram) + kBesidePages;
  while (!ended_) {
    TRY_ASSIGN(const auto frame, frames_.next());
    if (!frame) {
      return fail(Errc::truncated, "it was cut off");
    }
    const FrameHeader& header = frame->header;
    if (header.stream != id_) {
      if (header.kind == static_cast<std::uint32_t>(FrameKind::hello) && header.sequence == 0) {
        return fail(Errc::truncated, "another crash's stream began");
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
      return fail(Errc::limit, "more came than a guest of {} MiB can send",
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
      return take_pages(frame.payload);
    case FrameKind::end: {
      TRY_ASSIGN(const StreamEnd end, decode_end(text_of(frame.payload)));
      ended_ = true;
      stream_.incomplete = end.incomplete;
      if (!end.reason.empty()) {
        stream_.broken = "the guest gave up: " + end.reason;
      } else if (end.pages != pages_) {
        stream_.broken =
            fmt::format("the guest says that it sent {} pages, and {} came", end.pages, pages_);
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
    return fail(Errc::limit, "its notes have more than {} MiB", kMaxNotesSize >> 20);
  }
  TRY_ASSIGN(std::vector<Note> notes, parse_notes(payload, 0));
  if (stream_.notes.size() + notes.size() > kMaxNotes) {
    return fail(Errc::limit, "it has more than {} notes", kMaxNotes);
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

Result<std::span<const std::byte>> Reader::unpack(std::span<const std::byte> data,
                                                  std::uint32_t codec, std::size_t size) {
  if (codec == codec_flag(Codec::none)) {
    if (data.size() != size) {
      return fail(Errc::malformed, "a block of {} bytes in place of {}", data.size(), size);
    }
    return data;
  }
  if (codec != codec_flag(Codec::zstd)) {
    return fail(Errc::malformed, "a block in a codec that is not known ({:#x})", codec);
  }
  if (decompressor_ == nullptr) {
    TRY_ASSIGN(decompressor_, make_decompressor(Codec::zstd));
  }
  unpacked_.resize(size);
  TRY(decompressor_->decompress(data, unpacked_));
  return std::span<const std::byte>(unpacked_);
}

Result<> Reader::take_map(std::span<const std::byte> payload) {
  if (has_too_much()) {
    return fail(Errc::limit, "the guest announces {} MiB of RAM, more than it can have ({} MiB)",
                stream_.hello.ram.size() >> 20, limits_.ram >> 20);
  }
  const auto header = load<MapHeader>(payload, 0);
  if (!header) {
    return fail(Errc::malformed, "a map of {} bytes", payload.size());
  }
  const std::uint64_t first = header->first;
  const std::uint64_t pages = header->pages;
  if (pages == 0 || pages > kMaxMapPages || (first | pages) % 64 != 0 || first < mapped_.value ||
      first > kMaxPhysAddr / kPageSize - pages) {
    return fail(Errc::malformed, "a map of {} pages at page frame {:#x}", pages, first);
  }
  const auto data = payload.subspan(sizeof(MapHeader));
  const bool raw = data.size() == pages / 8;
  TRY_ASSIGN(const auto bitmap,
             unpack(data, codec_flag(raw ? Codec::none : Codec::zstd), pages / 8));
  for (std::uint64_t word = 0; word < pages / 64; ++word) {
    TRY(add_word({first + word * 64}, *load<ul64>(bitmap, word * sizeof(ul64))));
  }
  mapped_ = {first + pages};
  return {};
}

Result<> Reader::add_word(Pfn at, std::uint64_t bits) {
  if (bits == 0) {
    return {};
  }
  if ((bits & ~stream_.ram.word(at)) != 0) {
    return fail(Errc::malformed, "pages at page frame {:#x} that are outside of its RAM", at.value);
  }
  stream_.kept.insert_word(at, bits);
  return {};
}

Result<> Reader::check_run(PfnRange run) const {
  const std::uint64_t end = kMaxPhysAddr / kPageSize;
  if (run.count == 0 || run.count > kMaxFramePages || run.first.value > end - run.count) {
    return fail(Errc::malformed, "{} pages at page frame {:#x}", run.count, run.first.value);
  }
  if (stream_.kept.next_run(run.first, run.end()) != run) {
    return fail(Errc::malformed, "pages at page frame {:#x} that were not announced",
                run.first.value);
  }
  if (stream_.had.next_run(run.first, run.end(), 1).count != 0) {
    return fail(Errc::malformed, "pages at page frame {:#x} that came before", run.first.value);
  }
  return {};
}

Result<> Reader::keep(PfnRange run, std::span<const std::byte> bytes) {
  if (run.count != 0) {
    TRY(told(sink_.pages(run.first, bytes.first(run.count * kPageSize))));
    stream_.had.insert(run);
    pages_ += run.count;
  }
  return {};
}

Result<> Reader::take_pages(std::span<const std::byte> payload) {
  const auto header = load<PagesHeader>(payload, 0);
  if (!header || header->runs == 0 || header->runs > kMaxFramePages) {
    return fail(Errc::malformed, "a frame of pages without a proper header");
  }
  const std::uint64_t table = sizeof(PagesHeader) + header->runs * sizeof(PageFrameRun);
  std::vector<PfnRange> runs;
  std::uint64_t pages = 0;
  for (std::uint64_t at = sizeof(PagesHeader); at < table; at += sizeof(PageFrameRun)) {
    const auto entry = load<PageFrameRun>(payload, at);
    if (!entry) {
      return fail(Errc::malformed, "a frame of pages that is too short");
    }
    runs.push_back({{entry->first}, entry->count});
    TRY(check_run(runs.back()));
    pages += runs.back().count;
  }
  if (pages > kMaxFramePages) {
    return fail(Errc::malformed, "a frame of {} pages", pages);
  }
  TRY_ASSIGN(auto bytes, unpack(payload.subspan(table), header->codec, pages * kPageSize));
  for (const PfnRange& run : runs) {
    if (stream_.had.next_run(run.first, run.end(), 1).count != 0) {
      return fail(Errc::malformed, "pages at page frame {:#x} twice", run.first.value);
    }
    TRY(keep({run.first, std::min(run.count, limits_.kept / kPageSize - pages_)}, bytes));
    if (stream_.had.next_run(run.first, run.end()) != run) {
      return fail(Errc::limit, "it has more pages than there is room for ({} MiB)",
                  limits_.kept >> 20);
    }
    bytes = bytes.subspan(run.count * kPageSize);
  }
  return {};
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
