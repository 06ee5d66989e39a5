// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/formats/guest_stream/frame_reader.h"

#include <algorithm>
#include <cstring>

#include "src/formats/crc32c.h"

namespace vmcore::formats {
namespace {

bool is_whole(const FrameHeader& header) {
  return header.header_crc == crc32c(as_bytes(header).first(offsetof(FrameHeader, header_crc))) &&
         header.size <= kMaxFramePayload;
}

}  // namespace

Result<bool> FrameReader::have(std::size_t size) {
  if (end_ - at_ < size && buffer_.size() - at_ < size) {
    std::memmove(buffer_.data(), buffer_.data() + at_, end_ - at_);
    end_ -= at_;
    at_ = 0;
  }
  while (end_ - at_ < size) {
    TRY_ASSIGN(const std::size_t got, read_(std::span(buffer_).subspan(end_)));
    if (got == 0) {
      return false;
    }
    end_ += got;
  }
  return true;
}

Result<> FrameReader::drop(std::size_t size) {
  at_ += size;
  skipped_ += size;
  if (skipped_ > kMaxSkipped) {
    return fail(Errc::limit, "more than {} MiB arrived that are not a guest's stream",
                kMaxSkipped >> 20);
  }
  return {};
}

Result<> FrameReader::skip(const Frame& frame) {
  at_ -= frame.payload.size() + sizeof(FrameHeader);
  return drop(frame.payload.size() + sizeof(FrameHeader));
}

// Skips to a header; false at the end of the input.
Result<bool> FrameReader::find_header(FrameHeader& header) {
  while (true) {
    TRY_ASSIGN(const bool there, have(sizeof(FrameHeader)));
    if (!there) {
      TRY(drop(end_ - at_));
      return false;
    }
    const auto bytes = std::span<const std::byte>(buffer_).subspan(at_, end_ - at_);
    const auto magic = std::as_bytes(std::span(kFrameMagic));
    const auto found = std::search(bytes.begin(), bytes.end(), magic.begin(), magic.end());
    const auto before = static_cast<std::size_t>(found - bytes.begin());
    if (found == bytes.end()) {
      TRY(drop(bytes.size() - (magic.size() - 1)));  // it may begin in the last few
      continue;
    }
    if (before != 0) {
      TRY(drop(before));
      continue;
    }
    std::memcpy(static_cast<void*>(&header), bytes.data(), sizeof header);
    if (is_whole(header)) {
      return true;
    }
    TRY(drop(1));
  }
}

Result<std::optional<Frame>> FrameReader::next() {
  while (true) {
    Frame frame;
    TRY_ASSIGN(const bool found, find_header(frame.header));
    if (!found) {
      return std::nullopt;
    }
    const std::size_t size = sizeof(FrameHeader) + frame.header.size;
    TRY_ASSIGN(const bool there, have(size));
    if (!there) {
      ++damaged_;
      TRY(drop(end_ - at_));
      return std::nullopt;
    }
    frame.payload =
        std::span<const std::byte>(buffer_).subspan(at_ + sizeof(FrameHeader), frame.header.size);
    if (crc32c(frame.payload) == frame.header.payload_crc) {
      at_ += size;
      return frame;
    }
    // Its length is right, as the header is: to look for frames inside would let a stream of
    // headers cost the square of its length.
    ++damaged_;
    TRY(drop(size));
  }
}

}  // namespace vmcore::formats
