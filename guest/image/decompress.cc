// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/image/decompress.h"

#include <lzma.h>
#include <zstd.h>

#include <cstring>
#include <memory>

#include "guest/config/gzip.h"

namespace vmcore::guest::image {
namespace {

using std::string_view_literals::operator""sv;

constexpr std::size_t kMost = 256U << 20;
constexpr std::uint64_t kMostWork = 128U << 20;  // of xz itself

tl::unexpected<Error> too_large() {
  return fail(Errc::limit, "the unpacked data is larger than {} MiB", kMost >> 20);
}

// Calls step(out, used) with a growing buffer until it returns true.
template <class Step>
Result<std::string> grow(std::size_t first, Step step) {
  std::string out;
  for (std::size_t used = 0;;) {
    out.resize(out.empty() ? first : out.size() * 2);
    if (out.size() > kMost) {
      return too_large();
    }
    TRY_ASSIGN(const bool done, step(out, used));
    if (done) {
      out.resize(used);
      return out;
    }
  }
}

Result<std::string> from_xz(std::string_view bytes) {
  lzma_stream stream = LZMA_STREAM_INIT;
  if (lzma_stream_decoder(&stream, kMostWork, LZMA_CONCATENATED) != LZMA_OK) {
    return fail(Errc::limit, "xz: out of memory");
  }
  const std::unique_ptr<lzma_stream, void (*)(lzma_stream*)> ended(&stream, lzma_end);
  stream.next_in = reinterpret_cast<const std::uint8_t*>(bytes.data());
  stream.avail_in = bytes.size();
  return grow(bytes.size() * 4, [&](std::string& out, std::size_t& used) -> Result<bool> {
    stream.next_out = reinterpret_cast<std::uint8_t*>(out.data()) + used;
    stream.avail_out = out.size() - used;
    const lzma_ret code = lzma_code(&stream, LZMA_FINISH);
    used = out.size() - stream.avail_out;
    if (code == LZMA_STREAM_END || code == LZMA_OK) {
      return code == LZMA_STREAM_END;
    }
    return fail(Errc::malformed, "xz: the data is damaged (code {})", static_cast<int>(code));
  });
}

Result<std::string> from_zstd(std::string_view bytes) {
  const std::unique_ptr<ZSTD_DStream, std::size_t (*)(ZSTD_DStream*)> stream(ZSTD_createDStream(),
                                                                             ZSTD_freeDStream);
  ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
  return grow(bytes.size() * 4, [&](std::string& out, std::size_t& used) -> Result<bool> {
    ZSTD_outBuffer room{out.data(), out.size(), used};
    for (;;) {
      const std::size_t left = ZSTD_decompressStream(stream.get(), &room, &in);
      used = room.pos;
      if (ZSTD_isError(left) != 0) {
        return fail(Errc::malformed, "zstd: {}", ZSTD_getErrorName(left));
      }
      if (left == 0 && in.pos == in.size) {
        return true;
      }
      if (room.pos == room.size) {
        return false;
      }
      if (in.pos == in.size) {
        return fail(Errc::truncated, "zstd: the data is truncated");
      }
    }
  });
}

}  // namespace

Result<std::string> decompress(std::string_view bytes) {
  if (bytes.starts_with("\xfd"
                        "7zXZ\0"sv)) {
    return from_xz(bytes);
  }
  if (bytes.starts_with("\x28\xb5\x2f\xfd"sv)) {
    return from_zstd(bytes);
  }
  if (bytes.starts_with(config::kGzipMagic)) {
    return config::gunzip(bytes, kMost);
  }
  return std::string(bytes);
}

}  // namespace vmcore::guest::image
