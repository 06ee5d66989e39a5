// SPDX-License-Identifier: GPL-2.0-or-later
// Compressing and decompressing single pages, each alone, as kdump-compressed dumps hold them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "src/base/result.h"
#include "src/image/format_names.h"

namespace vmcore::formats {

// The page_desc flag of a codec (diskdump_mod.h of makedumpfile: zlib 1, lzo 2, snappy 4, zstd
// 0x20; none 0).
std::uint32_t codec_flag(Codec codec);
// The codec of the flags of a page descriptor; nothing where they are not exactly one codec's.
std::optional<Codec> codec_from_flags(std::uint32_t flags);

// Bytes that compress() may scribble on for a page of that size: more than the worst case of LZO,
// n + n/16 + 67, and of snappy, n + n/6 + 32.
constexpr std::size_t compress_room(std::size_t page_size) {
  return page_size + page_size / 6 + 96;
}

// One thread's compression state, kept from page to page.
class PageCompressor {
 public:
  virtual ~PageCompressor() = default;
  // Compresses `page` to the begin of `out`, which has compress_room() bytes or more. Returns the
  // compressed size, or 0 where the page does not get smaller.
  virtual std::size_t compress(std::span<const std::byte> page, std::span<std::byte> out) = 0;
};

class PageDecompressor {
 public:
  virtual ~PageDecompressor() = default;
  // Decompresses exactly out.size() bytes; anything else is Errc::malformed.
  virtual Result<> decompress(std::span<const std::byte> data, std::span<std::byte> out) = 0;
};

// `level`: nothing means the fastest useful one. Errc::invalid outside the codec's range, or for
// Codec::none.
Result<std::unique_ptr<PageCompressor>> make_compressor(Codec codec, std::optional<int> level);
Result<std::unique_ptr<PageDecompressor>> make_decompressor(Codec codec);

}  // namespace vmcore::formats
