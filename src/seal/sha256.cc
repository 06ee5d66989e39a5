// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/seal/sha256.h"

#include <sodium.h>

#include <array>

namespace vmcore::seal {

std::string sha256(std::string_view bytes) {
  std::array<unsigned char, crypto_hash_sha256_BYTES> digest{};
  ::crypto_hash_sha256(digest.data(), reinterpret_cast<const unsigned char*>(bytes.data()),
                       bytes.size());
  std::string text(digest.size() * 2 + 1, '\0');
  ::sodium_bin2hex(text.data(), text.size(), digest.data(), digest.size());
  text.pop_back();  // the NUL
  return text;
}

}  // namespace vmcore::seal
