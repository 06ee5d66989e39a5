// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/vault/room.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "src/base/fd.h"

namespace vmcore::vault {
namespace {

// Small pieces: where the disk is nearly full, some of them fit.
constexpr std::uint64_t kPiece = 256U << 10;

}  // namespace

std::uint64_t held_room(int folder, const char* name) {
  struct stat status {};
  return ::fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0
             ? static_cast<std::uint64_t>(status.st_size)
             : 0;
}

Result<> hold_room(int folder, const char* name, std::uint64_t bytes) {
  const Fd file(::openat(folder, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file) {
    return fail_errno(errno, name);
  }
  for (std::uint64_t at = held_room(folder, name); at < bytes;) {
    const std::uint64_t piece = std::min(kPiece, bytes - at);
    if (::fallocate(file.get(), 0, static_cast<off_t>(at), static_cast<off_t>(piece)) != 0) {
      return errno == EOPNOTSUPP ? Result<>() : fail_errno(errno, name);
    }
    at += piece;
  }
  return {};
}

std::uint64_t give_up_room(int folder, const char* name, std::uint64_t bytes) {
  const std::uint64_t held = held_room(folder, name);
  const std::uint64_t given = std::min(held, bytes);
  const Fd file(::openat(folder, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC));
  if (given == 0 || !file || ::ftruncate(file.get(), static_cast<off_t>(held - given)) != 0) {
    return 0;
  }
  if (given == held) {
    ::unlinkat(folder, name, 0);
  }
  return given;
}

}  // namespace vmcore::vault
