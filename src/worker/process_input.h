// SPDX-License-Identifier: GPL-2.0-or-later
// The guest's own memory, behind the headers and notes of a dump that is not read on.
#pragma once

#include "src/base/fd.h"
#include "src/base/result.h"
#include "src/sandbox/channel.h"
#include "src/worker/input.h"

namespace vmcore::worker {

// Says over the channel that all is `ready`, and gets the pipe; reads the beginning of an ELF dump
// from it and asks where the memory lies. What of the first MiB cannot be told is read from the
// pipe as well. Errc::unsupported where the memory that was found is not what the dump begins with.
// The pipe is held by the Input, unless the guest is to run on (`torn`).
Result<Input> open_process(const sandbox::Channel& channel, const sandbox::Ready& ready, bool torn,
                           const Reach& reach);

// The memory of a guest that is not touched: no notes, and registers only where these can be had
// without a pause, else a remark. `torn`: it runs.
Result<Input> open_live(const sandbox::Channel& channel, bool torn, const Reach& reach);

}  // namespace vmcore::worker
