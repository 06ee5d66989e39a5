// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/base/ownership.h"

#include <unistd.h>

#include "src/base/shell.h"

namespace vmcore {

Result<> check_ours(const struct stat& status, const std::filesystem::path& path) {
  if (status.st_uid != 0 && status.st_uid != ::geteuid()) {
    return fail(Errc::denied, "{}: it belongs to another user (uid {}): {}", path.native(),
                status.st_uid, shell_command({"chown", "root", path.native()}));
  }
  // The group's bits are also the most that an access control list gives.
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return fail(Errc::denied, "{}: its group or others may write to it: {}", path.native(),
                shell_command({"chmod", "go-w", path.native()}));
  }
  return {};
}

}  // namespace vmcore
