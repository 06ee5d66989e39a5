// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/formats/codec.h"

#include <gtest/gtest.h>

#include "src/image/page.h"
#include "tests/builders/dump_builder.h"

namespace vmcore::formats {
namespace {

using builders::Bytes;

class EveryCodec : public testing::TestWithParam<Codec> {
 protected:
  Bytes compressed(const Bytes& page) {
    Bytes out(compress_room(kPageSize));
    out.resize((*make_compressor(GetParam(), std::nullopt))->compress(page, out));
    return out;
  }
  Result<> decompress(const Bytes& data, Bytes& out) {
    return (*make_decompressor(GetParam()))->decompress(data, out);
  }
};

TEST_P(EveryCodec, GivesThePageBack) {
  const Bytes page = builders::pages(3);
  const Bytes data = compressed(page);
  ASSERT_GT(data.size(), 0U);
  ASSERT_LT(data.size(), kPageSize);
  Bytes out(kPageSize);
  ASSERT_TRUE(decompress(data, out));
  EXPECT_EQ(out, page);
}

TEST_P(EveryCodec, APageThatDoesNotGetSmallerIsZero) {
  EXPECT_EQ(compressed(builders::random_page(1)).size(), 0U);
}

TEST_P(EveryCodec, AContextServesManyPages) {
  const auto compressor = *make_compressor(GetParam(), std::nullopt);
  const auto decompressor = *make_decompressor(GetParam());
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const Bytes page = seed % 5 == 0 ? builders::random_page(seed) : builders::pages(seed);
    Bytes data(compress_room(kPageSize));
    data.resize(compressor->compress(page, data));
    Bytes out(kPageSize);
    if (!data.empty()) {
      ASSERT_TRUE(decompressor->decompress(data, out));
      EXPECT_EQ(out, page);
    }
  }
}

TEST_P(EveryCodec, NothingButOnePageIsAccepted) {
  Bytes half = builders::pages(3);
  half.resize(kPageSize / 2);
  const Bytes twice = builders::pages(3, 2);
  for (const Bytes& wrong : {half, twice}) {
    Bytes data(compress_room(wrong.size()));
    data.resize((*make_compressor(GetParam(), std::nullopt))->compress(wrong, data));
    Bytes out(kPageSize);
    EXPECT_EQ(decompress(data, out).error().code, Errc::malformed);
  }
}

TEST_P(EveryCodec, EveryCutIsRefused) {
  const Bytes data = compressed(builders::pages(3));
  for (std::size_t size = 0; size < data.size(); ++size) {
    Bytes out(kPageSize);
    EXPECT_FALSE(decompress({data.begin(), data.begin() + static_cast<std::ptrdiff_t>(size)}, out))
        << size;
  }
}

TEST_P(EveryCodec, HasNameAndFlag) {
  EXPECT_EQ(codec_from_name(codec_name(GetParam())), GetParam());
  EXPECT_EQ(codec_from_flags(codec_flag(GetParam())), GetParam());
}

INSTANTIATE_TEST_SUITE_P(Codecs, EveryCodec,
                         testing::Values(Codec::zlib, Codec::lzo, Codec::snappy, Codec::zstd),
                         [](const auto& test) { return std::string(codec_name(test.param)); });

TEST(Codec, LevelsAreChecked) {
  EXPECT_TRUE(make_compressor(Codec::zlib, 12));
  EXPECT_TRUE(make_compressor(Codec::zstd, -5));
  EXPECT_EQ(make_compressor(Codec::zlib, 13).error().code, Errc::invalid);
  EXPECT_EQ(make_compressor(Codec::zstd, 23).error().code, Errc::invalid);
  EXPECT_EQ(make_compressor(Codec::lzo, 1).error().code, Errc::invalid);
  EXPECT_EQ(make_compressor(Codec::none, std::nullopt).error().code, Errc::invalid);
}

TEST(Codec, FlagsAreThoseOfTheFormat) {
  const std::pair<Codec, std::uint32_t> known[] = {
      {Codec::none, 0}, {Codec::zlib, 1}, {Codec::lzo, 2}, {Codec::snappy, 4}, {Codec::zstd, 0x20}};
  for (const auto& [codec, flag] : known) {
    EXPECT_EQ(codec_flag(codec), flag) << codec_name(codec);
    EXPECT_EQ(codec_from_flags(flag), codec) << flag;
  }
}

TEST(Codec, FlagsOfTwoCodecsAreNone) {
  EXPECT_FALSE(codec_from_flags(3));
  EXPECT_FALSE(codec_from_flags(8));
  EXPECT_EQ(codec_from_flags(0), Codec::none);
  EXPECT_FALSE(codec_from_name("lz4"));
}

}  // namespace
}  // namespace vmcore::formats
