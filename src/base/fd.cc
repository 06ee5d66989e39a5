// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/base/fd.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>

#include <cerrno>

namespace vmcore {

Result<Fd> duplicate(int fd) {
  Fd again(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!again) {
    return fail_errno(errno, "dup");
  }
  return again;
}

bool is_readable(int fd) {
  pollfd wait{fd, POLLIN, 0};
  return fd >= 0 && ::poll(&wait, 1, 0) == 1;
}

Result<Fd> make_memory_file(const char* name) {
  Fd file(::memfd_create(name, MFD_CLOEXEC));
  if (!file) {
    return fail_errno(errno, "memfd_create");
  }
  return file;
}

}  // namespace vmcore
