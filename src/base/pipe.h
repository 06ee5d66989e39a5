// SPDX-License-Identifier: GPL-2.0-or-later
// Pipe: both ends of a new pipe.
#pragma once

#include "src/base/fd.h"
#include "src/base/result.h"

namespace vmcore {

struct Pipe {
  Fd out;  // the end to read from
  Fd in;   // the end to write to
};

// `flags` as for pipe2(2); both ends are close-on-exec.
Result<Pipe> make_pipe(int flags = 0);

}  // namespace vmcore
