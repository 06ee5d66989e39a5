// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/save/stored_stream.h"

#include <cstddef>
#include <optional>
#include <string>

#include "src/base/sys.h"
#include "src/formats/crc32c.h"
#include "src/formats/guest_stream/protocol.h"
#include "src/formats/guest_stream/sealed_stream.h"

namespace vmcore::guest::save {
namespace {

using formats::FrameHeader;
using formats::FrameKind;

// Nothing if there is no valid header.
std::optional<FrameHeader> header_at(int fd, std::uint64_t offset) {
  std::array<std::byte, sizeof(FrameHeader)> bytes{};
  const auto got = sys::pread_full(fd, bytes, offset);
  const auto header = load<FrameHeader>(bytes, 0);
  const auto summed = std::span(bytes).first(offsetof(FrameHeader, header_crc));
  if (!got || *got != bytes.size() || header->magic != formats::kFrameMagic ||
      header->header_crc != formats::crc32c(summed) || header->size > formats::kMaxFramePayload) {
    return std::nullopt;
  }
  return header;
}

Result<std::string> text_of(int fd, std::uint64_t offset, const FrameHeader& header) {
  std::string text(header.size, '\0');
  TRY_ASSIGN(const std::size_t got,
             sys::pread_full(fd, std::as_writable_bytes(std::span(text)), offset + sizeof header));
  text.resize(got);
  return text;
}

bool is(const FrameHeader& header, FrameKind kind) {
  return header.kind == static_cast<std::uint32_t>(kind);
}

}  // namespace

Result<StoredStream> look_at_stream(int fd) {
  const auto first = header_at(fd, 0);
  if (first && is(*first, FrameKind::sealed_key)) {
    TRY_ASSIGN(const std::string key, text_of(fd, 0, *first));
    const auto time = formats::clear_crash_time(std::as_bytes(std::span(key)));
    return StoredStream{.crash_time = time.value_or(0), .sealed = true};
  }
  if (!first || !is(*first, FrameKind::hello)) {
    return fail(Errc::not_recognised, "the device holds no stored crash");
  }
  TRY_ASSIGN(const std::string text, text_of(fd, 0, *first));
  TRY_ASSIGN(const formats::GuestHello hello, formats::decode_hello(text));
  StoredStream stored{.crash_time = hello.crash_time.value_or(0), .tag = hello.tag};
  // A frame of another stream is older.
  std::uint64_t offset = 0;
  for (auto frame = first; frame && frame->stream == first->stream; frame = header_at(fd, offset)) {
    if (is(*frame, FrameKind::end)) {
      TRY_ASSIGN(const std::string last, text_of(fd, offset, *frame));
      TRY_ASSIGN(const formats::StreamEnd end, formats::decode_end(last));
      stored.complete = !end.incomplete && end.reason.empty();
      break;
    }
    offset += sizeof(FrameHeader) + frame->size;
  }
  return stored;
}

}  // namespace vmcore::guest::save
