// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/seal/sha256.h"

#include <sodium.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "src/base/sys.h"

namespace vmcore::seal {
namespace {

using Digest = std::array<unsigned char, crypto_hash_sha256_BYTES>;

std::string hex(const Digest& digest) {
  std::string text(digest.size() * 2 + 1, '\0');
  ::sodium_bin2hex(text.data(), text.size(), digest.data(), digest.size());
  text.pop_back();  // the NUL
  return text;
}

}  // namespace

std::string sha256(std::string_view bytes) {
  Digest digest{};
  ::crypto_hash_sha256(digest.data(), reinterpret_cast<const unsigned char*>(bytes.data()),
                       bytes.size());
  return hex(digest);
}

Result<std::string> sha256_of(int fd) {
  ::crypto_hash_sha256_state state{};
  ::crypto_hash_sha256_init(&state);
  std::vector<std::byte> buffer(1U << 20);
  for (std::uint64_t done = 0;;) {
    TRY_ASSIGN(const std::size_t got, sys::pread_full(fd, buffer, done));
    ::crypto_hash_sha256_update(&state, reinterpret_cast<const unsigned char*>(buffer.data()), got);
    done += got;
    if (got < buffer.size()) {
      break;
    }
  }
  Digest digest{};
  ::crypto_hash_sha256_final(&state, digest.data());
  return hex(digest);
}

}  // namespace vmcore::seal
