// SPDX-License-Identifier: GPL-2.0-or-later
// FrameReader: finds the frames of a guest's stream among other data on the same line.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "src/base/result.h"
#include "src/formats/guest_stream/protocol.h"

namespace vmcore::formats {

// Reads some bytes, waiting for them; 0 at the end of the input.
using ReadSome = std::function<Result<std::size_t>(std::span<std::byte>)>;

struct Frame {
  FrameHeader header;
  std::span<const std::byte> payload;
};

class FrameReader {
 public:
  explicit FrameReader(ReadSome read) : read_(std::move(read)) {}

  // The next frame that is whole, of whatever stream; valid until the next call. Nothing at the end
  // of the input. Every byte is looked at a bounded number of times. Errc::limit where more than
  // kMaxSkipped bytes belonged to no frame.
  Result<std::optional<Frame>> next();

  // Bytes that belonged to no frame, or to one that was damaged.
  std::uint64_t skipped() const { return skipped_; }
  std::uint64_t damaged() const { return damaged_; }  // frames whose payload is not what was sent
  // Bytes that do not count as a frame after all, such as a frame of another stream.
  Result<> skip(const Frame& frame);

  static constexpr std::uint64_t kMaxSkipped = 64U << 20;

 private:
  // Makes that many bytes available, if the input has them.
  Result<bool> have(std::size_t size);
  Result<> drop(std::size_t size);  // skipped
  Result<bool> find_header(FrameHeader& header);

  ReadSome read_;
  std::vector<std::byte> buffer_ =
      std::vector<std::byte>(2 * (sizeof(FrameHeader) + kMaxFramePayload));
  std::size_t at_ = 0;   // of buffer_: the next byte
  std::size_t end_ = 0;  // of buffer_: of what was read
  std::uint64_t skipped_ = 0;
  std::uint64_t damaged_ = 0;
};

}  // namespace vmcore::formats
