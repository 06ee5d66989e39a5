// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/daemon/hook_marks.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <sstream>
#include <system_error>

#include "src/base/fd.h"
#include "src/base/sys.h"
#include "src/base/whole_file.h"

namespace vmcore::daemon {
namespace {

// A name that was cut short names no hook.
std::vector<std::string> lines_of(const std::filesystem::path& path) {
  std::vector<std::string> lines;
  std::istringstream text(read_file(path).value_or(""));
  for (std::string line; std::getline(text, line) && !text.eof();) {
    lines.push_back(line);
  }
  return lines;
}

}  // namespace

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

// This and the end of a mark are not synced: after a power cut hooks may run once more.
Result<> HookMarks::note_ended(const std::string& crash, const std::string& hook) const {
  const std::string path = (folder_ / crash).native();
  const Fd file(::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW));
  if (!file) {
    return errno == ENOENT ? Result<>() : fail_errno(errno, path);
  }
  const std::string line = hook + "\n";
  return sys::write_full(file.get(), std::as_bytes(std::span(line)));
}

Result<> HookMarks::remove(const std::string& crash) const {
  const std::string path = (folder_ / crash).native();
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    return fail_errno(errno, path);
  }
  return {};
}

std::vector<HookMark> HookMarks::all() const {
  std::vector<HookMark> marks;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder_, error)) {
    marks.push_back({entry.path().filename().native(), lines_of(entry.path())});
  }
  std::ranges::sort(marks, {}, &HookMark::crash);  // an ID begins with its time
  return marks;
}

}  // namespace vmcore::daemon
