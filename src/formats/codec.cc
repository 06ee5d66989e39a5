// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/formats/codec.h"

#include <libdeflate.h>
#include <lzo/lzo1x.h>
#include <snappy-c.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

namespace vmcore::formats {
namespace {

// By Codec.
constexpr std::array<std::uint32_t, 5> kFlags{0, 0x1, 0x2, 0x4, 0x20};
static_assert(kFlags.size() == kCodecNames.size());

// Frees what a C library made.
template <auto free_function>
struct Free {
  template <class T>
  void operator()(T* pointer) const {
    free_function(pointer);
  }
};

tl::unexpected<Error> corrupt(Codec codec) {
  return fail(Errc::malformed, "{}: the compressed data of a page are corrupt", codec_name(codec));
}

tl::unexpected<Error> no_context(Codec codec) {
  return fail(Errc::limit, "{}: out of memory for a compression context", codec_name(codec));
}

// A page that did not get smaller is stored as it is.
std::size_t if_smaller(std::size_t size, std::size_t page_size) {
  return size < page_size ? size : 0;
}

class ZlibCompressor final : public PageCompressor {
 public:
  using Handle = std::unique_ptr<libdeflate_compressor, Free<libdeflate_free_compressor>>;
  explicit ZlibCompressor(Handle handle) : handle_(std::move(handle)) {}
  std::size_t compress(std::span<const std::byte> page, std::span<std::byte> out) override {
    return libdeflate_zlib_compress(handle_.get(), page.data(), page.size(), out.data(),
                                    page.size() - 1);
  }

 private:
  Handle handle_;
};

class ZlibDecompressor final : public PageDecompressor {
 public:
  using Handle = std::unique_ptr<libdeflate_decompressor, Free<libdeflate_free_decompressor>>;
  explicit ZlibDecompressor(Handle handle) : handle_(std::move(handle)) {}
  // Without a pointer for the size, libdeflate accepts nothing but out.size() bytes.
  Result<> decompress(std::span<const std::byte> data, std::span<std::byte> out) override {
    if (libdeflate_zlib_decompress(handle_.get(), data.data(), data.size(), out.data(), out.size(),
                                   nullptr) != LIBDEFLATE_SUCCESS) {
      return corrupt(Codec::zlib);
    }
    return {};
  }

 private:
  Handle handle_;
};

class ZstdCompressor final : public PageCompressor {
 public:
  using Handle = std::unique_ptr<ZSTD_CCtx, Free<ZSTD_freeCCtx>>;
  ZstdCompressor(Handle handle, int level) : handle_(std::move(handle)), level_(level) {}
  std::size_t compress(std::span<const std::byte> page, std::span<std::byte> out) override {
    const std::size_t size = ZSTD_compressCCtx(handle_.get(), out.data(), page.size() - 1,
                                               page.data(), page.size(), level_);
    return ZSTD_isError(size) != 0 ? 0 : size;
  }

 private:
  Handle handle_;
  int level_;
};

class ZstdDecompressor final : public PageDecompressor {
 public:
  using Handle = std::unique_ptr<ZSTD_DCtx, Free<ZSTD_freeDCtx>>;
  explicit ZstdDecompressor(Handle handle) : handle_(std::move(handle)) {}
  Result<> decompress(std::span<const std::byte> data, std::span<std::byte> out) override {
    if (ZSTD_decompressDCtx(handle_.get(), out.data(), out.size(), data.data(), data.size()) !=
        out.size()) {
      return corrupt(Codec::zstd);
    }
    return {};
  }

 private:
  Handle handle_;
};

// LZO's C interface is not const-correct about its input and wants its own integer types.
unsigned char* lzo_bytes(std::span<const std::byte> bytes) {
  return const_cast<unsigned char*>(reinterpret_cast<const unsigned char*>(bytes.data()));
}

// LZO1X-1 with a table of 2^12 places, as many as a page has bytes. The usual one has 2^14, fills
// the first-level cache and must be cleared for every page; it makes pages 0.2 % smaller.
class LzoCompressor final : public PageCompressor {
 public:
  std::size_t compress(std::span<const std::byte> page, std::span<std::byte> out) override {
    lzo_uint size = out.size();
    if (lzo1x_1_12_compress(lzo_bytes(page), page.size(), lzo_bytes(out), &size, work_.data()) !=
        LZO_E_OK) {
      return 0;
    }
    return if_smaller(size, page.size());
  }

 private:
  std::vector<std::byte> work_ = std::vector<std::byte>(LZO1X_1_12_MEM_COMPRESS);
};

class LzoDecompressor final : public PageDecompressor {
 public:
  Result<> decompress(std::span<const std::byte> data, std::span<std::byte> out) override {
    lzo_uint size = out.size();
    if (lzo1x_decompress_safe(lzo_bytes(data), data.size(), lzo_bytes(out), &size, nullptr) !=
            LZO_E_OK ||
        size != out.size()) {
      return corrupt(Codec::lzo);
    }
    return {};
  }
};

const char* chars(std::span<const std::byte> bytes) {
  return reinterpret_cast<const char*>(bytes.data());
}
char* chars(std::span<std::byte> bytes) { return reinterpret_cast<char*>(bytes.data()); }

class SnappyCompressor final : public PageCompressor {
 public:
  std::size_t compress(std::span<const std::byte> page, std::span<std::byte> out) override {
    std::size_t size = out.size();
    if (snappy_compress(chars(page), page.size(), chars(out), &size) != SNAPPY_OK) {
      return 0;
    }
    return if_smaller(size, page.size());
  }
};

class SnappyDecompressor final : public PageDecompressor {
 public:
  Result<> decompress(std::span<const std::byte> data, std::span<std::byte> out) override {
    std::size_t size = 0;
    if (snappy_uncompressed_length(chars(data), data.size(), &size) != SNAPPY_OK ||
        size != out.size() ||
        snappy_uncompress(chars(data), data.size(), chars(out), &size) != SNAPPY_OK) {
      return corrupt(Codec::snappy);
    }
    return {};
  }
};

Result<int> level_within(Codec codec, std::optional<int> level, int low, int high) {
  const int value = level.value_or(1);
  if (value < low || value > high) {
    return fail(Errc::invalid, "{} has compression levels {} to {}, not {}", codec_name(codec), low,
                high, value);
  }
  return value;
}

Result<std::unique_ptr<PageCompressor>> make_zlib(std::optional<int> level) {
  TRY_ASSIGN(const int value, level_within(Codec::zlib, level, 1, 12));
  ZlibCompressor::Handle handle(libdeflate_alloc_compressor(value));
  if (!handle) {
    return no_context(Codec::zlib);
  }
  return std::make_unique<ZlibCompressor>(std::move(handle));
}

Result<std::unique_ptr<PageCompressor>> make_zstd(std::optional<int> level) {
  TRY_ASSIGN(const int value, level_within(Codec::zstd, level, ZSTD_minCLevel(), ZSTD_maxCLevel()));
  ZstdCompressor::Handle handle(ZSTD_createCCtx());
  if (!handle) {
    return no_context(Codec::zstd);
  }
  return std::make_unique<ZstdCompressor>(std::move(handle), value);
}

template <class Made>
Result<std::unique_ptr<PageCompressor>> make_without_level(Codec codec, std::optional<int> level) {
  if (level) {
    return fail(Errc::invalid, "{} has no compression levels", codec_name(codec));
  }
  return std::make_unique<Made>();
}

}  // namespace

std::uint32_t codec_flag(Codec codec) { return kFlags[static_cast<std::size_t>(codec)]; }

std::optional<Codec> codec_from_flags(std::uint32_t flags) {
  const auto* const found = std::ranges::find(kFlags, flags);
  return found != kFlags.end() ? std::optional(static_cast<Codec>(found - kFlags.begin()))
                               : std::nullopt;
}

Result<std::unique_ptr<PageCompressor>> make_compressor(Codec codec, std::optional<int> level) {
  switch (codec) {
    case Codec::zlib:
      return make_zlib(level);
    case Codec::zstd:
      return make_zstd(level);
    case Codec::lzo:
      return make_without_level<LzoCompressor>(codec, level);
    case Codec::snappy:
      return make_without_level<SnappyCompressor>(codec, level);
    case Codec::none:
      break;
  }
  return fail(Errc::invalid, "no compression was requested");
}

Result<std::unique_ptr<PageDecompressor>> make_decompressor(Codec codec) {
  switch (codec) {
    case Codec::zlib:
      if (ZlibDecompressor::Handle handle(libdeflate_alloc_decompressor()); handle) {
        return std::make_unique<ZlibDecompressor>(std::move(handle));
      }
      return no_context(codec);
    case Codec::zstd:
      if (ZstdDecompressor::Handle handle(ZSTD_createDCtx()); handle) {
        return std::make_unique<ZstdDecompressor>(std::move(handle));
      }
      return no_context(codec);
    case Codec::lzo:
      return std::make_unique<LzoDecompressor>();
    case Codec::snappy:
      return std::make_unique<SnappyDecompressor>();
    case Codec::none:
      break;
  }
  return fail(Errc::invalid, "a page that is not compressed needs no decompressor");
}

}  // namespace vmcore::formats
