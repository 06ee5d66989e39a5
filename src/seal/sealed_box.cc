// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/seal/sealed_box.h"

namespace vmcore::seal {
namespace {

constexpr std::size_t kKeySize = crypto_secretstream_xchacha20poly1305_KEYBYTES;
constexpr std::size_t kSealedKeySize = crypto_box_SEALBYTES + kKeySize;
using StreamKey = std::array<unsigned char, kKeySize>;

unsigned char* raw(std::span<std::byte> bytes) {
  return reinterpret_cast<unsigned char*>(bytes.data());
}
const unsigned char* raw(std::span<const std::byte> bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

}  // namespace

Result<Sealer> Sealer::make(const PublicKey& to) {
  if (::sodium_init() < 0) {
    return fail(Errc::io, "the system has no source of random numbers for sealing");
  }
  Sealer sealer;
  StreamKey key{};
  ::crypto_secretstream_xchacha20poly1305_keygen(key.data());
  unsigned char* const preamble = sealer.preamble_.data();
  const bool sealed = ::crypto_box_seal(preamble, key.data(), key.size(), to.data()) == 0;
  ::crypto_secretstream_xchacha20poly1305_init_push(&sealer.state_, preamble + kSealedKeySize,
                                                    key.data());
  ::sodium_memzero(key.data(), key.size());
  if (!sealed) {
    return fail(Errc::invalid, "{} is not a key that can be sealed to", format_public_key(to));
  }
  return sealer;
}

void Sealer::seal(std::span<const std::byte> piece, std::span<std::byte> out) {
  ::crypto_secretstream_xchacha20poly1305_push(&state_, raw(out), nullptr, raw(piece), piece.size(),
                                               nullptr, 0, 0);
}

Result<Opener> Opener::open(std::span<const std::byte> preamble, const SecretKey& secret) {
  if (::sodium_init() < 0) {
    return fail(Errc::io, "libsodium cannot be initialised");
  }
  Opener opener;
  StreamKey key{};
  const bool opened =
      preamble.size() == kPreambleSize &&
      ::crypto_box_seal_open(key.data(), raw(preamble), kSealedKeySize, secret.public_key().data(),
                             secret.bytes().data()) == 0 &&
      ::crypto_secretstream_xchacha20poly1305_init_pull(
          &opener.state_, raw(preamble.subspan(kSealedKeySize)), key.data()) == 0;
  ::sodium_memzero(key.data(), key.size());
  if (!opened) {
    return fail(Errc::denied, "the stream is sealed to another key");
  }
  return opener;
}

Result<> Opener::open_piece(std::span<const std::byte> piece, std::vector<std::byte>& out) {
  if (piece.size() <= kPieceOverhead) {
    return fail(Errc::malformed, "a sealed piece cannot have {} bytes", piece.size());
  }
  out.resize(piece.size() - kPieceOverhead);
  unsigned char tag = 0;
  if (::crypto_secretstream_xchacha20poly1305_pull(&state_, raw(std::span(out)), nullptr, &tag,
                                                   raw(piece), piece.size(), nullptr, 0) != 0) {
    out.clear();
    return fail(Errc::malformed, "a sealed piece was changed, or one before it is missing");
  }
  return {};
}

}  // namespace vmcore::seal
