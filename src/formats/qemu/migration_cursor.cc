// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/formats/qemu/migration_cursor.h"

#include <cstring>

namespace vmcore::formats {

Result<std::span<const std::byte>> MigrationCursor::take(std::size_t size) {
  if (end_ - at_ < size) {
    TRY(refill(size));
  }
  const auto bytes = std::span<const std::byte>(buffer_).subspan(at_, size);
  at_ += size;
  offset_ += size;
  return bytes;
}

Result<std::uint64_t> MigrationCursor::number(std::size_t size) {
  TRY_ASSIGN(const auto bytes, take(size));
  std::uint64_t value = 0;
  for (const std::byte byte : bytes) {
    value = value << 8 | std::to_integer<std::uint64_t>(byte);
  }
  return value;
}

Result<std::string> MigrationCursor::text() {
  TRY_ASSIGN(const std::uint64_t size, number(1));
  TRY_ASSIGN(const auto bytes, take(size));
  std::string text(size, '\0');
  std::memcpy(text.data(), bytes.data(), size);
  return text;
}

Result<std::optional<std::uint8_t>> MigrationCursor::peek() {
  if (offset_ == source_.size()) {
    return std::nullopt;
  }
  TRY_ASSIGN(const std::uint64_t byte, number(1));
  --at_;
  --offset_;
  return static_cast<std::uint8_t>(byte);
}

Result<> MigrationCursor::refill(std::size_t size) {
  TRY(sink_.passed(offset_));
  std::memmove(buffer_.data(), buffer_.data() + at_, end_ - at_);
  end_ -= at_;
  at_ = 0;
  TRY_ASSIGN(const std::size_t got, source_.read(offset_ + end_, std::span(buffer_).subspan(end_)));
  end_ += got;
  if (end_ < size) {
    return fail(Errc::truncated, "the migration stream ends after {} bytes", offset_ + end_);
  }
  return {};
}

}  // namespace vmcore::formats
