// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/seal/sealed_box.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace vmcore::seal {
namespace {

using Bytes = std::vector<std::byte>;

SecretKey key(unsigned char first = 1) { return SecretKey({first, 2, 3}); }

Bytes bytes(std::string_view text) {
  const auto all = std::as_bytes(std::span(text));
  return {all.begin(), all.end()};
}

Bytes sealed(Sealer& sealer, std::string_view text) {
  Bytes out(text.size() + kPieceOverhead);
  sealer.seal(std::as_bytes(std::span(text)), out);
  return out;
}

TEST(SealedBox, OpensWithItsKey) {
  auto sealer = Sealer::make(key().public_key());
  ASSERT_TRUE(sealer);
  auto opener = Opener::open(sealer->preamble(), key());
  ASSERT_TRUE(opener) << opener.error().message;
  Bytes out;
  for (const std::string& text : {std::string("one"), std::string(100000, 'x'), std::string("3")}) {
    const Bytes piece = sealed(*sealer, text);
    const auto one = bytes("one");
    EXPECT_EQ(std::search(piece.begin(), piece.end(), one.begin(), one.end()), piece.end());
    ASSERT_TRUE(opener->open_piece(piece, out));
    EXPECT_EQ(out, bytes(text));
  }
}

TEST(SealedBox, NoOtherKeyOpensIt) {
  const auto sealer = Sealer::make(key().public_key());
  EXPECT_EQ(Opener::open(sealer->preamble(), key(9)).error().code, Errc::denied);
  const auto preamble = sealer->preamble();
  EXPECT_EQ(Opener::open(preamble.first(kPreambleSize - 1), key()).error().code, Errc::denied);
  EXPECT_EQ(Opener::open({}, key()).error().code, Errc::denied);
}

TEST(SealedBox, APieceOpensInItsPlaceOnly) {
  auto sealer = Sealer::make(key().public_key());
  const Bytes first = sealed(*sealer, "first");
  const Bytes second = sealed(*sealer, "second");
  Bytes out;
  auto skips = Opener::open(sealer->preamble(), key());
  EXPECT_EQ(skips->open_piece(second, out).error().code, Errc::malformed);
  EXPECT_TRUE(out.empty());
  auto repeats = Opener::open(sealer->preamble(), key());
  EXPECT_TRUE(repeats->open_piece(first, out));
  EXPECT_FALSE(repeats->open_piece(first, out));
}

TEST(SealedBox, NoBitMayChange) {
  auto sealer = Sealer::make(key().public_key());
  const Bytes piece = sealed(*sealer, "piece");
  for (std::size_t bit = 0; bit < piece.size() * 8; ++bit) {
    auto opener = Opener::open(sealer->preamble(), key());
    Bytes changed = piece;
    changed[bit / 8] ^= std::byte{1} << (bit % 8);
    Bytes out;
    EXPECT_FALSE(opener->open_piece(changed, out)) << bit;
  }
}

TEST(SealedBox, NothingIsNoPiece) {
  auto sealer = Sealer::make(key().public_key());
  auto opener = Opener::open(sealer->preamble(), key());
  Bytes out;
  EXPECT_FALSE(opener->open_piece({}, out));
  EXPECT_FALSE(opener->open_piece(Bytes(kPieceOverhead), out));
}

TEST(SealedBox, SomeKeysAreNone) {
  EXPECT_EQ(Sealer::make(PublicKey{}).error().code, Errc::invalid);
}

}  // namespace
}  // namespace vmcore::seal
