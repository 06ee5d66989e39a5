// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/seal/key.h"

#include <fcntl.h>
#include <sodium.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "src/base/fd.h"
#include "src/base/sync.h"
#include "src/base/sys.h"

namespace vmcore::seal {
namespace {

using Bytes = std::array<unsigned char, 32>;
static_assert(crypto_box_PUBLICKEYBYTES == sizeof(Bytes) &&
              crypto_box_SECRETKEYBYTES == sizeof(Bytes));

constexpr std::string_view kPublic = "x25519:";
constexpr std::string_view kSecret = "x25519-secret:";

// What it gives is the only copy: it may be secret.
std::optional<Bytes> bytes_of(std::string_view text, std::string_view prefix) {
  std::optional<Bytes> bytes;
  if (!text.starts_with(prefix) || text.size() != prefix.size() + 2 * sizeof(Bytes)) {
    return bytes;
  }
  text.remove_prefix(prefix.size());
  bytes.emplace();
  if (::sodium_hex2bin(bytes->data(), bytes->size(), text.data(), text.size(), nullptr, nullptr,
                       nullptr) != 0) {
    bytes.reset();
  }
  return bytes;
}

std::string text_of(std::string_view prefix, const Bytes& bytes) {
  std::string digits(2 * bytes.size() + 1, '\0');
  ::sodium_bin2hex(digits.data(), digits.size(), bytes.data(), bytes.size());
  digits.pop_back();
  return std::string(prefix) + digits;
}

}  // namespace

PublicKey SecretKey::public_key() const {
  PublicKey key{};
  ::crypto_scalarmult_base(key.data(), bytes_.data());
  return key;
}

void SecretKey::forget() { ::sodium_memzero(bytes_.data(), bytes_.size()); }

Result<PublicKey> parse_public_key(std::string_view text) {
  const auto key = bytes_of(text, kPublic);
  if (!key) {
    return fail(
        Errc::invalid,
        "\"{}\" is not a public key ({}...): give the line that `vmcorectl key FILE` prints",
        text.starts_with(kSecret) ? std::string_view("a secret key") : text, kPublic);
  }
  return *key;
}

std::string format_public_key(const PublicKey& key) { return text_of(kPublic, key); }

Result<PublicKey> make_key_file(const std::string& path) {
  if (::sodium_init() < 0) {
    return fail(Errc::io, "the system has no source of random numbers for a key");
  }
  PublicKey shown{};
  Bytes secret{};
  ::crypto_box_keypair(shown.data(), secret.data());
  std::string text = fmt::format("# {}\n{}\n", format_public_key(shown), text_of(kSecret, secret));
  const Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  Result<> written = file ? sys::write_full(file.get(), std::as_bytes(std::span(text)))
                          : Result<>(fail_errno(errno, path));
  // The public half is given away: the key must be there after a power cut as well.
  if (written) {
    written = sync_fd(file.get(), path);
  }
  if (written) {
    written = sync_folder_of(path);
  }
  if (file && !written) {
    ::unlink(path.c_str());
  }
  ::sodium_memzero(secret.data(), secret.size());
  ::sodium_memzero(text.data(), text.size());
  TRY(written);
  return shown;
}

Result<SecretKey> read_key_file(int fd) {
  std::string text(4096, '\0');
  TRY_ASSIGN(const std::size_t size,
             sys::pread_full(fd, std::as_writable_bytes(std::span(text)), 0));
  std::string_view rest = std::string_view(text).substr(0, size);
  while (rest.starts_with('#')) {
    rest.remove_prefix(std::min(rest.find('\n'), rest.size() - 1) + 1);
  }
  auto bytes = bytes_of(rest.substr(0, rest.find('\n')), kSecret);
  ::sodium_memzero(text.data(), text.size());
  if (!bytes) {
    return fail(Errc::not_recognised,
                "the file holds no secret key: make one with `vmcorectl key FILE`");
  }
  SecretKey key(*bytes);
  ::sodium_memzero(bytes->data(), bytes->size());
  return key;
}

}  // namespace vmcore::seal
