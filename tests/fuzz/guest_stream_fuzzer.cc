// SPDX-License-Identifier: GPL-2.0-or-later
// Whatever a guest's stream says, each page that is handed out is RAM, was announced, and comes
// once. The input is a list of frames (kind, size, payload), which get right checksums here, or
// else no mutation would ever come past these; where its first byte is odd, it is the line itself.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "src/formats/crc32c.h"
#include "src/formats/guest_stream/reader.h"

namespace {

using namespace vmcore;
using namespace vmcore::formats;

class Checker : public GuestStreamSink {
 public:
  Result<> hello(const GuestHello& hello) override {
    ram_ = hello.ram;
    return {};
  }
  Result<> log(std::string_view) override { return {}; }
  Result<> pages(Pfn first, std::span<const std::byte> bytes) override {
    const std::uint64_t count = bytes.size() / 4096;
    if (bytes.size() % 4096 != 0 || had_.next_run(first, first + count, 1).count != 0) {
      std::abort();
    }
    for (std::uint64_t i = 0; i < count; ++i) {
      if (!ram_.contains({(first + i).value * 4096})) {
        std::abort();
      }
    }
    had_.insert({first, count});
    return {};
  }
  const PageSet& had() const { return had_; }

 private:
  RangeSet ram_;
  PageSet had_;
};

void add_frame(std::vector<std::byte>& line, std::uint32_t kind, std::uint64_t sequence,
               std::span<const std::byte> payload) {
  FrameHeader header;
  header.magic = kFrameMagic;
  header.kind = kind;
  header.size = static_cast<std::uint32_t>(payload.size());
  header.sequence = sequence;
  header.payload_crc = crc32c(payload);
  header.header_crc = crc32c(as_bytes(header).first(offsetof(FrameHeader, header_crc)));
  const auto bytes = as_bytes(header);
  line.insert(line.end(), bytes.begin(), bytes.end());
  line.insert(line.end(), payload.begin(), payload.end());
}

std::vector<std::byte> make_line(std::span<const std::byte> input) {
  if (!input.empty() && (input[0] & std::byte{1}) != std::byte{0}) {
    return {input.begin() + 1, input.end()};
  }
  std::vector<std::byte> line;
  GuestHello hello;
  hello.ram.add({{0x1000}, 0x9e000});
  hello.ram.add({{0x100000}, 64U << 20});
  const std::string text = encode(hello);
  add_frame(line, 1, 0, std::as_bytes(std::span(text)));
  for (std::uint64_t sequence = 1; input.size() >= 3; ++sequence) {
    const auto kind = std::to_integer<std::uint32_t>(input[0]) / 2;
    const std::size_t size = std::min<std::size_t>(*load<ul16>(input, 1), input.size() - 3);
    add_frame(line, kind, sequence, input.subspan(3, size));
    input = input.subspan(3 + size);
  }
  return line;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::vector<std::byte> line = make_line(std::as_bytes(std::span(data, size)));
  std::size_t at = 0;
  Checker checker;
  const auto stream = read_guest_stream(
      [&](std::span<std::byte> out) {
        const std::size_t some = std::min({out.size(), line.size() - at, std::size_t{1000}});
        std::ranges::copy(std::span(line).subspan(at, some), out.begin());
        at += some;
        return Result<std::size_t>(some);
      },
      checker, {.ram = 1ULL << 32, .kept = 32U << 20});
  if (stream && (stream->had.count() != checker.had().count() ||
                 stream->kept.count() < stream->had.count())) {
    std::abort();
  }
  return 0;
}
