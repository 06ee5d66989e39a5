// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/base/runtime_folder.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace vmcore {

namespace fs = std::filesystem;

fs::path runtime_folder() {
  if (::geteuid() == 0) {
    return "/run/vmcorectl";
  }
  const char* const runtime = std::getenv("XDG_RUNTIME_DIR");
  return runtime != nullptr && *runtime == '/' ? fs::path(runtime) / "vmcorectl" : fs::path();
}

bool is_private(const fs::path& folder) {
  struct stat status {};
  return !folder.empty() && ::lstat(folder.c_str(), &status) == 0 && S_ISDIR(status.st_mode) &&
         status.st_uid == ::geteuid() && (status.st_mode & 077U) == 0;
}

Result<> make_private(const fs::path& folder) {
  if (folder.empty()) {
    return fail(Errc::not_found, "XDG_RUNTIME_DIR is not set");
  }
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail_errno(errno, folder.string());
  }
  return is_private(folder) ? Result<>()
                            : fail(Errc::denied, "{} is not a folder with mode 0700 of this user",
                                   folder.string());
}

}  // namespace vmcore
