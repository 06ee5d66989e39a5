// SPDX-License-Identifier: GPL-2.0-or-later
// Pipe: both ends of a new pipe.
#pragma once

#include "src/base/fd.h"
#include "src/base/result.h"

namespace vmcore {

struct Pipe {
  Fd out;  // what was written is read here
  Fd in;
};

// Both ends are closed by exec, and have the `flags` of pipe2(2).
Result<Pipe> make_pipe(int flags = 0);

}  // namespace vmcore
