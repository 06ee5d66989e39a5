// SPDX-License-Identifier: GPL-2.0-or-later
// What a guest's capture kernel sends, through the worker's job to a dump: the job ends, and a dump
// that it calls done opens. The input changes the frames of a stream that is right; checksums are
// made right again, or no change would come past them.
//
// Input: a byte for the level, then changes: the frame (1 byte), what is done (1), where in its
// payload (2), how many bytes (1), those.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <thread>
#include <vector>

#include "src/base/little_endian.h"
#include "src/convert/convert.h"
#include "src/formats/crc32c.h"
#include "src/formats/guest_stream/writer.h"
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

std::vector<Bytes> whole_stream() {
  std::vector<Bytes> frames;
  const MemoryImage image = testing::fuzzed_image({});
  formats::GuestStreamWriter writer(
      [&](std::span<const std::byte> frame) {
        frames.emplace_back(frame.begin(), frame.end());
        return Result<>();
      },
      formats::StreamId{});
  formats::GuestHello hello{.release = "6.1.0-test", .ram = ram_ranges(*image.memory)};
  fuzz::check(writer.hello(hello).has_value());
  fuzz::check(writer.log("[    1.0] first\n[    2.0] Kernel panic - not syncing: x\n").has_value());
  Silent silent;
  fuzz::check(convert::convert(image, writer, {.how = {.level = 31, .threads = 1}}, silent, {})
                  .has_value());
  return frames;
}

// Puts the frame's number, size and checksums right.
void mend(Bytes& frame, std::uint64_t sequence) {
  formats::FrameHeader header = *load<formats::FrameHeader>(frame, 0);
  const auto payload = std::span<const std::byte>(frame).subspan(sizeof(header));
  header.size = static_cast<std::uint32_t>(payload.size());
  header.sequence = sequence;
  header.payload_crc = formats::crc32c(payload);
  header.header_crc =
      formats::crc32c(as_bytes(header).first(offsetof(formats::FrameHeader, header_crc)));
  std::ranges::copy(as_bytes(header), frame.begin());
}

enum class Deed { overwrite, insert, erase, drop, repeat, swap, kind, cut };

void change(std::vector<Bytes>& frames, Deed deed, std::size_t which, std::size_t where,
            std::span<const std::byte> bytes) {
  Bytes& frame = frames[which];
  const std::size_t begin = sizeof(formats::FrameHeader);
  const std::size_t place = begin + where % (frame.size() - begin + 1);
  const std::size_t some = std::min(bytes.size(), frame.size() - place);
  const auto at = frame.begin() + static_cast<std::ptrdiff_t>(place);
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
      frames.erase(frames.begin() + static_cast<std::ptrdiff_t>(which));
      break;
    case Deed::repeat:
      frames.push_back(Bytes(frame));
      break;
    case Deed::swap:
      std::swap(frame, frames[where % frames.size()]);
      break;
    case Deed::kind:
      builders::poke(frame, offsetof(formats::FrameHeader, kind),
                     static_cast<std::uint32_t>(where));
      break;
    case Deed::cut:
      frames.resize(which + 1);
      break;
  }
}

Bytes changed_stream(std::span<const std::byte> input) {
  static const std::vector<Bytes> whole = whole_stream();
  std::vector<Bytes> frames = whole;
  while (input.size() >= 5 && frames.size() > 1) {
    const auto deed = static_cast<Deed>(std::to_integer<unsigned>(input[1]) % 8);
    const std::size_t size = std::min(std::to_integer<std::size_t>(input[4]), input.size() - 5);
    change(frames, deed, std::to_integer<std::size_t>(input[0]) % frames.size(),
           *load<ul16>(input, 2), input.subspan(5, size));
    input = input.subspan(5 + size);
  }
  Bytes line;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    mend(frames[i], i);
    line.insert(line.end(), frames[i].begin(), frames[i].end());
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
