// SPDX-License-Identifier: GPL-2.0-or-later
// The bytes of a migration stream one after the other. Numbers are big-endian.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "src/base/result.h"
#include "src/formats/byte_source.h"
#include "src/formats/qemu/migration_stream.h"

namespace vmcore::formats {

// Each is Errc::truncated where the stream ends before.
class MigrationCursor {
 public:
  // Both are borrowed; the sink is called with the position that was passed.
  MigrationCursor(const ByteSource& source, PageSink& sink) : source_(source), sink_(sink) {}

  // Of the stream: of the next byte that is taken.
  std::uint64_t offset() const { return offset_; }

  // The next bytes, valid until the next call. At most kPortion.
  Result<std::span<const std::byte>> take(std::size_t size);
  Result<std::uint64_t> number(std::size_t size);
  // A length of one byte, then so many.
  Result<std::string> text();
  // The next byte, which stays; nothing at the end.
  Result<std::optional<std::uint8_t>> peek();

 private:
  static constexpr std::size_t kPortion = 1U << 20;

  Result<> refill(std::size_t size);

  const ByteSource& source_;
  PageSink& sink_;
  std::uint64_t offset_ = 0;
  std::vector<std::byte> buffer_ = std::vector<std::byte>(kPortion);
  std::size_t at_ = 0;   // of buffer_: the next byte that is taken
  std::size_t end_ = 0;  // of buffer_: of what was read
};

}  // namespace vmcore::formats
