// SPDX-License-Identifier: GPL-2.0-or-later
// Whatever comes in place of a sealed stream, what is opened is what was sealed, from its
// beginning. The input changes a sealed stream; frames get right checksums again where its first
// byte is odd.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "src/formats/guest_stream/sealed_stream.h"
#include "tests/fuzz/change.h"

namespace {

using namespace vmcore;
using namespace vmcore::formats;
using Bytes = std::vector<std::byte>;

const std::array<unsigned char, 32> kKey{1, 2, 3};

Bytes plain_text() {
  Bytes bytes(3000);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::byte>(i * 7 + i / 256);
  }
  return bytes;
}

Bytes sealed(const Bytes& bytes) {
  Bytes line;
  auto send = sealed_to(seal::SecretKey(kKey).public_key(), [&](std::span<const std::byte> frame) {
    line.insert(line.end(), frame.begin(), frame.end());
    return Result<>{};
  });
  for (std::size_t at = 0; at < bytes.size(); at += 1000) {
    if (!(*send)(std::span(bytes).subspan(at, 1000))) {
      std::abort();
    }
  }
  return line;
}

// Gives each thing that begins as a frame right checksums.
void mend(Bytes& line) {
  for (std::size_t at = 0; const auto header = load<FrameHeader>(line, at);) {
    const std::size_t size = sizeof(FrameHeader) + header->size;
    if (header->magic != kFrameMagic || size > line.size() - at) {
      ++at;
      continue;
    }
    finish_frame(std::span(line).subspan(at, size),
                 static_cast<FrameKind>(std::uint32_t{header->kind}), header->stream,
                 header->sequence);
    at += size;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Bytes text = plain_text();
  static const Bytes original = sealed(text);
  Bytes line = original;
  const auto input = std::as_bytes(std::span(data, size));
  if (!input.empty()) {
    fuzz::change(line, input.subspan(1));
    if ((input[0] & std::byte{1}) != std::byte{0}) {
      mend(line);
    }
  }
  std::size_t at = 0;
  auto read = open_sealed(
      [&](std::span<std::byte> out) {
        const std::size_t some = std::min({out.size(), line.size() - at, std::size_t{100}});
        std::ranges::copy(std::span(line).subspan(at, some), out.begin());
        at += some;
        return Result<std::size_t>(some);
      },
      seal::SecretKey(kKey));
  for (std::size_t opened = 0; read;) {
    Bytes some(64);
    const auto got = (*read)(some);
    if (!got || *got == 0) {
      break;
    }
    if (*got > text.size() - opened || std::memcmp(some.data(), text.data() + opened, *got) != 0) {
      std::abort();
    }
    opened += *got;
  }
  return 0;
}
