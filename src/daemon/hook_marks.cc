// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/daemon/hook_marks.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "src/base/fd.h"
#include "src/base/sys.h"

namespace vmcore::daemon {

Result<> HookMarks::set(const std::string& crash) const {
  const std::string path = (folder_ / crash).native();
  if (::mkdir(folder_.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail_errno(errno, folder_.native());
  }
  const Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) {
    return fail_errno(errno, path);
  }
  const Fd folder(::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) {
    return fail_errno(errno, folder_.native());
  }
  return sys::sync(folder.get());
}

// Not synced: after a power cut hooks may run once more.
Result<> HookMarks::remove(const std::string& crash) const {
  const std::string path = (folder_ / crash).native();
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    return fail_errno(errno, path);
  }
  return {};
}

std::vector<std::string> HookMarks::all() const {
  std::vector<std::string> crashes;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder_, error)) {
    crashes.push_back(entry.path().filename().native());
  }
  std::ranges::sort(crashes);  // an ID begins with its time
  return crashes;
}

}  // namespace vmcore::daemon
