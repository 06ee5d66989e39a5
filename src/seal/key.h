// SPDX-License-Identifier: GPL-2.0-or-later
// Keys that streams are sealed to: X25519. A guest has the public half, which opens nothing; the
// secret half is in a file of the receiver.
//
// As text: "x25519:" and 64 hexadecimal digits is a public key, "x25519-secret:" and as many a
// secret one, so that neither is taken for the other.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "src/base/result.h"

namespace vmcore::seal {

using PublicKey = std::array<unsigned char, 32>;

// Is forgotten when it goes.
class SecretKey {
 public:
  explicit SecretKey(const std::array<unsigned char, 32>& bytes) : bytes_(bytes) {}
  SecretKey(SecretKey&& other) noexcept : bytes_(other.bytes_) { other.forget(); }
  SecretKey& operator=(SecretKey&&) = delete;
  ~SecretKey() { forget(); }

  const std::array<unsigned char, 32>& bytes() const { return bytes_; }
  PublicKey public_key() const;

 private:
  void forget();
  std::array<unsigned char, 32> bytes_;
};

// Errc::invalid where it is none.
Result<PublicKey> parse_public_key(std::string_view text);
std::string format_public_key(const PublicKey& key);

// A new secret key in a new file, mode 0600. Errc::exists where there is one of that name.
Result<PublicKey> make_key_file(const std::string& path);
// Of an open file, wherever it was read to before: the first line that is no comment ("#").
Result<SecretKey> read_key_file(int fd);

}  // namespace vmcore::seal
