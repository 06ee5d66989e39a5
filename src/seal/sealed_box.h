// SPDX-License-Identifier: GPL-2.0-or-later
// Sealer and Opener: bytes that only the holder of a secret key can read, in ordered pieces:
// libsodium's crypto_box_seal for a fresh key, and crypto_secretstream_xchacha20poly1305 with that
// key. A piece that was changed, left out, repeated or moved does not open, nor does any later
// piece. Anybody can seal to a public key: the seal does not tell who did.
#pragma once

#include <sodium.h>

#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "src/base/result.h"
#include "src/seal/key.h"

namespace vmcore::seal {

// What comes before all pieces: the sealed key, then the header of the stream.
inline constexpr std::size_t kPreambleSize = crypto_box_SEALBYTES +
                                             crypto_secretstream_xchacha20poly1305_KEYBYTES +
                                             crypto_secretstream_xchacha20poly1305_HEADERBYTES;
static_assert(kPreambleSize == 104);
// What a piece is longer sealed.
inline constexpr std::size_t kPieceOverhead = crypto_secretstream_xchacha20poly1305_ABYTES;
static_assert(kPieceOverhead == 17);

class Sealer {
 public:
  // Waits until the kernel has random numbers (getrandom(2)).
  static Result<Sealer> make(const PublicKey& to);

  std::span<const std::byte> preamble() const { return std::as_bytes(std::span(preamble_)); }
  // `out` has kPieceOverhead bytes more than `piece`.
  void seal(std::span<const std::byte> piece, std::span<std::byte> out);

 private:
  Sealer() = default;
  std::array<unsigned char, kPreambleSize> preamble_{};
  crypto_secretstream_xchacha20poly1305_state state_{};
};

class Opener {
 public:
  // Errc::denied where it was sealed to another key, or is none.
  static Result<Opener> open(std::span<const std::byte> preamble, const SecretKey& key);

  // Errc::malformed where it is not the next piece as it was sealed.
  Result<> open_piece(std::span<const std::byte> piece, std::vector<std::byte>& out);

 private:
  Opener() = default;
  crypto_secretstream_xchacha20poly1305_state state_{};
};

}  // namespace vmcore::seal
