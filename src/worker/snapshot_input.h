// SPDX-License-Identifier: GPL-2.0-or-later
// A snapshot of a running guest: QEMU's migration stream of one moment, in a file.
#pragma once

#include <vector>

#include "src/base/fd.h"
#include "src/base/result.h"
#include "src/sandbox/channel.h"
#include "src/sandbox/messages.h"
#include "src/worker/input.h"

namespace vmcore::worker {

// Lays the pages of `stream` (a regular file, which is consumed: what was read is punched out of
// it) into `spool` (a regular file, empty) at their guest-physical addresses. `headers` is the
// beginning of an ELF dump that QEMU made of the same guest: it tells which memory is RAM, and
// VMCOREINFO; the registers are the stream's. `places` tells where the blocks of the stream lie.
//
// Errc::unsupported where these do not agree: RAM without a place, a place without a block.
Result<Input> open_snapshot(const sandbox::Channel& channel, Fd stream, Fd spool, Fd headers,
                            const std::vector<sandbox::BlockPlace>& places);

}  // namespace vmcore::worker
