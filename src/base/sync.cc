// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/base/sync.h"

#include <fcntl.h>

#include <cerrno>
#include <utility>

#include "src/base/fd.h"
#include "src/base/sys.h"

namespace vmcore {

Result<> sync_fd(int fd, const std::string& path) {
  if (Result<> synced = sys::sync(fd); !synced) {
    return in_context(std::move(synced).error(), path);
  }
  return {};
}

Result<> sync_folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const Fd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return fd ? sync_fd(fd.get(), folder) : fail_errno(errno, folder);
}

}  // namespace vmcore
