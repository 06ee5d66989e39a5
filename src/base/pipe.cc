// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/base/pipe.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace vmcore {

Result<Pipe> make_pipe(int flags) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | flags) != 0) {
    return fail_errno(errno, "pipe");
  }
  return Pipe{Fd(ends[0]), Fd(ends[1])};
}

}  // namespace vmcore
