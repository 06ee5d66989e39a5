// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/root/root.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

namespace vmcore::guest::root {
namespace {

bool same_folder(int fd, const char* path) {
  struct stat a {
  }, b{};
  return ::fstat(fd, &a) == 0 && ::stat(path, &b) == 0 && a.st_dev == b.st_dev &&
         a.st_ino == b.st_ino;
}

}  // namespace

Result<Root> Root::open(const std::string& folder) {
  Fd fd(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd) {
    return fail_errno(errno, folder);
  }
  const bool running = same_folder(fd.get(), "/");
  return Root(std::move(fd), running);
}

Result<Fd> Root::open(std::string_view path, int flags, unsigned mode) const {
  open_how how{};
  how.flags = static_cast<unsigned>(flags | O_CLOEXEC);
  how.mode = (flags & O_CREAT) != 0 ? mode : 0;
  how.resolve = RESOLVE_IN_ROOT;
  const std::string text(path);
  Fd fd(static_cast<int>(::syscall(SYS_openat2, folder_.get(), text.c_str(), &how, sizeof how)));
  // Kernels before Linux 5.6 have no openat2, and containers may deny it (seccomp).
  if (!fd && errno == ENOSYS) {
    if (!running_) {
      return fail(Errc::unsupported,
                  "--root needs openat2(2) (Linux 5.6): use a newer kernel, or run vmcore-guest "
                  "inside the guest");
    }
    fd = Fd(::open(text.c_str(), flags | O_CLOEXEC, mode));
  }
  if (!fd) {
    return fail_errno(errno, text);
  }
  return fd;
}

bool Root::exists(std::string_view path) const { return open(path, O_PATH).has_value(); }

Result<std::string> Root::read(std::string_view path, std::size_t most) const {
  TRY_ASSIGN(const Fd fd, open(path, O_RDONLY));
  return read_all(fd.get(), path, most);
}

Result<std::vector<std::string>> Root::list(std::string_view path) const {
  TRY_ASSIGN(Fd fd, open(path, O_RDONLY | O_DIRECTORY));
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::fdopendir(fd.get()), ::closedir);
  if (!folder) {
    return fail_errno(errno, path);
  }
  fd.release();
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(folder.get())) {
    const std::string name(entry->d_name);
    if (name != "." && name != "..") {
      names.push_back(name);
    }
  }
  std::ranges::sort(names);
  return names;
}

}  // namespace vmcore::guest::root
