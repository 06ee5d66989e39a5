// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/config/gzip.h"

#include <libdeflate.h>

#include <memory>

#include "src/base/little_endian.h"

namespace vmcore::guest::config {

Result<std::string> gzip(std::string_view bytes) {
  constexpr int kLevel = 9;
  const std::unique_ptr<libdeflate_compressor, void (*)(libdeflate_compressor*)> compressor(
      libdeflate_alloc_compressor(kLevel), libdeflate_free_compressor);
  if (!compressor) {
    return fail(Errc::limit, "gzip: out of memory");
  }
  std::string out(libdeflate_gzip_compress_bound(compressor.get(), bytes.size()), '\0');
  out.resize(libdeflate_gzip_compress(compressor.get(), bytes.data(), bytes.size(), out.data(),
                                      out.size()));
  return out;
}

Result<std::string> gunzip(std::string_view bytes, std::size_t most) {
  // The size is at the end (ISIZE).
  if (bytes.size() < sizeof(ul32)) {
    return fail(Errc::truncated, "gzip: the data is truncated");
  }
  const auto size = load<ul32>(std::as_bytes(std::span(bytes)), bytes.size() - sizeof(ul32));
  if (*size > most) {
    return fail(Errc::limit, "gzip: the unpacked data is larger than {} MiB", most >> 20);
  }
  const std::unique_ptr<libdeflate_decompressor, void (*)(libdeflate_decompressor*)> decompressor(
      libdeflate_alloc_decompressor(), libdeflate_free_decompressor);
  std::string out(*size, '\0');
  std::size_t got = 0;
  if (!decompressor ||
      libdeflate_gzip_decompress(decompressor.get(), bytes.data(), bytes.size(), out.data(),
                                 out.size(), &got) != LIBDEFLATE_SUCCESS ||
      got != out.size()) {
    return fail(Errc::malformed, "gzip: the data is damaged");
  }
  return out;
}

}  // namespace vmcore::guest::config
