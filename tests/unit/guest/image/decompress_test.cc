// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/image/decompress.h"

#include <gtest/gtest.h>
#include <libdeflate.h>
#include <lzma.h>
#include <zstd.h>

#include "tests/unit/guest/module_text.h"

namespace vmcore::guest::image {
namespace {

std::string xz(const std::string& text) {
  std::string out(lzma_stream_buffer_bound(text.size()), '\0');
  std::size_t size = 0;
  EXPECT_EQ(lzma_easy_buffer_encode(6, LZMA_CHECK_CRC32, nullptr,
                                    reinterpret_cast<const std::uint8_t*>(text.data()), text.size(),
                                    reinterpret_cast<std::uint8_t*>(out.data()), &size, out.size()),
            LZMA_OK);
  return out.substr(0, size);
}

std::string zstd(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  return out.substr(0, ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
}

std::string gzip(const std::string& text) {
  libdeflate_compressor* const compressor = libdeflate_alloc_compressor(6);
  std::string out(libdeflate_gzip_compress_bound(compressor, text.size()), '\0');
  out.resize(
      libdeflate_gzip_compress(compressor, text.data(), text.size(), out.data(), out.size()));
  libdeflate_free_compressor(compressor);
  return out;
}

TEST(Decompress, EveryFormOfAModule) {
  for (const std::string& text : {module_text(), std::string(3'000'000, '\0'), std::string("x")}) {
    EXPECT_EQ(decompress(xz(text)), text);
    EXPECT_EQ(decompress(zstd(text)), text);
    EXPECT_EQ(decompress(gzip(text)), text);
    EXPECT_EQ(decompress(text), text);
  }
}

TEST(Decompress, DamageIsTold) {
  for (std::string packed : {xz(module_text()), zstd(module_text()), gzip(module_text())}) {
    EXPECT_FALSE(decompress(std::string_view(packed).substr(0, packed.size() / 2)));
    packed[packed.size() / 2] = static_cast<char>(packed[packed.size() / 2] ^ 0x55);
    const auto result = decompress(packed);
    EXPECT_TRUE(!result || *result != module_text());
  }
  EXPECT_FALSE(decompress("\x1f\x8b"));
  EXPECT_FALSE(decompress("\x28\xb5\x2f\xfd"));
}

}  // namespace
}  // namespace vmcore::guest::image
