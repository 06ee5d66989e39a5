// SPDX-License-Identifier: GPL-2.0-or-later
// What a guest's capture kernel sends, through the worker's job to a dump: the job ends, and a dump
// that it calls done opens. The input changes the frames of a stream that is right. Its pages are
// not compressed, so that changes come to the guest's memory, and checksums are made right again,
// or none would come past them.
//
// Input: a byte for the level, then changes: the frame (1 byte), what is done (1), where in its
// payload (3), how many bytes (1), those.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <thread>
#include <vector>

#include "src/base/little_endian.h"
#include "src/convert/convert.h"
#include "src/formats/codec.h"
#include "src/formats/crc32c.h"
#include "src/formats/guest_stream/protocol.h"
#include "src/formats/guest_stream/writer.h"
#include "src/image/page.h"
#include "src/worker/jobs.h"
#include "tests/builders/dump_builder.h"
#include "tests/builders/kernel_fuzz.h"
#include "tests/fuzz/read_everything.h"

namespace {

using namespace vmcore;
using builders::Bytes;

class Silent : public convert::Observer {
 public:
  void progress(std::uint64_t, std::uint64_t) override {}
  void source_read() override {}
};

// A guest's memory without its large holes. Zero pages are sent as well, so that they would be
// nearly all of the stream, and nearly all of the time that it takes.
class WithoutHoles : public PhysicalMemory {
 public:
  explicit WithoutHoles(const PhysicalMemory& memory) : memory_(memory) {}

  Extent extent(PhysAddr address) const override {
    constexpr std::uint64_t kHole = 64 << 10;
    Extent extent = memory_.extent(address);
    if (extent.presence == Presence::zero && extent.range.size >= kHole) {
      extent.presence = Presence::excluded;
    }
    return extent;
  }
  Result<ReadExtent> read(PhysAddr address, std::span<std::byte> out) const override {
    return memory_.read(address, out);
  }

 private:
  const PhysicalMemory& memory_;
};

struct Piece {
  Bytes frame;
  bool changed = false;  // its payload
};

formats::FrameHeader header_of(const Bytes& frame) { return *load<formats::FrameHeader>(frame, 0); }

// Puts the frame's number, size and checksums right.
void mend(Piece& piece, std::uint64_t sequence) {
  formats::FrameHeader header = header_of(piece.frame);
  const auto payload = std::span<const std::byte>(piece.frame).subspan(sizeof(header));
  header.size = static_cast<std::uint32_t>(payload.size());
  header.sequence = sequence;
  if (piece.changed) {
    header.payload_crc = formats::crc32c(payload);
  }
  header.header_crc =
      formats::crc32c(as_bytes(header).first(offsetof(formats::FrameHeader, header_crc)));
  std::ranges::copy(as_bytes(header), piece.frame.begin());
}

// A frame of pages, without compression.
Bytes unpacked(const Bytes& frame) {
  constexpr std::size_t kBegin = sizeof(formats::FrameHeader);
  auto header = *load<formats::PagesHeader>(frame, kBegin);
  const std::size_t data = kBegin + sizeof(header) + header.runs * sizeof(formats::PageFrameRun);
  if (header.codec == 0) {
    return frame;
  }
  std::size_t pages = 0;
  for (std::size_t at = kBegin + sizeof(header); at < data; at += sizeof(formats::PageFrameRun)) {
    pages += load<formats::PageFrameRun>(frame, at)->count;
  }
  Bytes out(data + pages * kPageSize);
  header.codec = 0;
  std::copy_n(frame.begin(), data, out.begin());
  std::ranges::copy(as_bytes(header), out.begin() + kBegin);
  const auto decompressor = formats::make_decompressor(Codec::zstd);
  fuzz::check((*decompressor)
                  ->decompress(std::span(frame).subspan(data), std::span(out).subspan(data))
                  .has_value());
  return out;
}

std::vector<Piece> whole_stream() {
  std::vector<Piece> pieces;
  const MemoryImage guest = testing::fuzzed_image({});
  MemoryImage image;
  image.machine = guest.machine;
  image.cpus = guest.cpus;
  image.notes = guest.notes;
  image.memory = std::make_unique<WithoutHoles>(*guest.memory);
  formats::GuestStreamWriter writer(
      [&](std::span<const std::byte> frame) {
        pieces.push_back({Bytes(frame.begin(), frame.end())});
        return Result<>();
      },
      formats::StreamId{});
  formats::GuestHello hello{.release = "6.1.0-test", .ram = ram_ranges(*image.memory)};
  fuzz::check(writer.hello(hello).has_value());
  fuzz::check(writer.log("[    1.0] first\n[    2.0] Kernel panic - not syncing: x\n").has_value());
  Silent silent;
  fuzz::check(convert::convert(image, writer, {.how = {.level = 31, .threads = 1}}, silent, {})
                  .has_value());
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    if (header_of(pieces[i].frame).kind == static_cast<std::uint32_t>(formats::FrameKind::pages)) {
      pieces[i] = {unpacked(pieces[i].frame), true};
    }
    mend(pieces[i], i);
    pieces[i].changed = false;
  }
  return pieces;
}

enum class Deed { overwrite, insert, erase, drop, repeat, swap, kind, cut };

void change(std::vector<Piece>& pieces, Deed deed, std::size_t which, std::size_t where,
            std::span<const std::byte> bytes) {
  Bytes& frame = pieces[which].frame;
  const std::size_t begin = sizeof(formats::FrameHeader);
  const std::size_t place = begin + where % (frame.size() - begin + 1);
  const std::size_t some = std::min(bytes.size(), frame.size() - place);
  const auto at = frame.begin() + static_cast<std::ptrdiff_t>(place);
  pieces[which].changed = true;
  switch (deed) {
    case Deed::overwrite:
      std::copy_n(bytes.begin(), some, at);
      break;
    case Deed::insert:
      frame.insert(at, bytes.begin(), bytes.end());
      break;
    case Deed::erase:
      frame.erase(at, at + static_cast<std::ptrdiff_t>(some));
      break;
    case Deed::drop:
      pieces.erase(pieces.begin() + static_cast<std::ptrdiff_t>(which));
      break;
    case Deed::repeat:
      pieces.push_back(Piece(pieces[which]));
      break;
    case Deed::swap:
      std::swap(pieces[which], pieces[where % pieces.size()]);
      break;
    case Deed::kind:
      builders::poke(frame, offsetof(formats::FrameHeader, kind),
                     static_cast<std::uint32_t>(where));
      break;
    case Deed::cut:
      pieces.resize(which + 1);
      break;
  }
}

Bytes changed_stream(std::span<const std::byte> input) {
  constexpr std::size_t kChange = 6;
  constexpr std::size_t kMostPieces = 300;
  static const std::vector<Piece> whole = whole_stream();
  std::vector<Piece> pieces = whole;
  while (input.size() >= kChange && pieces.size() > 1 && pieces.size() < kMostPieces) {
    const auto deed = static_cast<Deed>(std::to_integer<unsigned>(input[1]) % 8);
    const std::size_t where = *load<ul32>(input, 2) & 0xffffff;
    const std::size_t size =
        std::min(std::to_integer<std::size_t>(input[5]), input.size() - kChange);
    change(pieces, deed, std::to_integer<std::size_t>(input[0]) % pieces.size(), where,
           input.subspan(kChange, size));
    input = input.subspan(kChange + size);
  }
  Bytes line;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    mend(pieces[i], i);
    line.insert(line.end(), pieces[i].frame.begin(), pieces[i].frame.end());
  }
  return line;
}

Result<sandbox::Done> run(Bytes line, unsigned level, const Fd& output) {
  auto ends = sandbox::Channel::make_pair();
  int hangup[2];
  fuzz::check(ends.has_value() && ::pipe2(hangup, O_CLOEXEC) == 0);
  const Fd writing(hangup[1]);
  std::vector<Fd> fds;
  fds.push_back(builders::memory_file(line));
  fds.push_back(builders::memory_file());
  fds.push_back(builders::memory_file());
  fds.emplace_back(hangup[0]);
  fds.emplace_back(::dup(output.get()));
  auto descriptors =
      sandbox::Descriptors::make({"source", "spool", "log", "hangup", "output"}, std::move(fds));
  fuzz::check(descriptors.has_value());
  sandbox::Request request{
      .input = sandbox::GuestStreamInput{{.most_ram = 64U << 20, .most_kept = 64U << 20}}};
  request.how.level = level;
  request.how.threads = 1;
  std::thread host([&] {
    while (ends->first.receive()) {
    }
  });
  auto done = worker::run_job(ends->second, std::move(request), *descriptors);
  ends->second = sandbox::Channel(Fd());
  host.join();
  return done;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) {
    return 0;
  }
  const Fd output = builders::memory_file();
  const auto done =
      run(changed_stream(std::as_bytes(std::span(data + 1, size - 1))), data[0] & 31U, output);
  if (done) {
    const auto image = formats::open_dump(Fd(::dup(output.get())));
    fuzz::check(image.has_value());
    fuzz::read_everything(*image->memory);
  }
  return 0;
}
