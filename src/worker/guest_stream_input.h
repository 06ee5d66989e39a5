// What a guest's own capture kernel sends to its host.
#pragma once

#include "src/base/fd.h"
#include "src/base/result.h"
#include "src/sandbox/channel.h"
#include "src/sandbox/messages.h"
#include "src/worker/input.h"

namespace vmcore::worker {

// Lays the pages of the stream that `line` brings into `spool` (a regular file, empty) at their
// guest-physical addresses, and writes the guest's kernel log into `log` (the same). A stream that
// breaks gives an incomplete image of what came; one without a page is an Error, its log is written
// all the same. The other end of `hangup` (a pipe) is closed where the line is to end. `key` is the
// file of the key that it is sealed to, or none. Tells Hello, LogRead, Spooling now and then, and
// SourceRead. `request` gives the terms, and the bandwidth.
Result<Input> open_guest_stream(const sandbox::Channel& channel, const sandbox::Request& request,
                                Fd line, Fd spool, Fd log, Fd hangup, Fd key);

}  // namespace vmcore::worker
