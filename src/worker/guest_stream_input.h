// SPDX-License-Identifier: GPL-2.0-or-later
// What a guest's own capture kernel sends to its host.
#pragma once

#include "src/base/fd.h"
#include "src/base/result.h"
#include "src/sandbox/channel.h"
#include "src/sandbox/messages.h"
#include "src/worker/input.h"

namespace vmcore::worker {

// Takes the descriptors of a sandbox::GuestStreamInput. Lays the pages of the stream into the spool
// at their guest-physical addresses, and writes the guest's kernel log into the file for it. A
// stream that breaks gives an incomplete image of what came; one without a page is an Error, and
// its log is written all the same. `bandwidth` is that of the conversion. Tells Hello, LogRead,
// Spooling now and then, and SourceRead.
Result<Input> open_guest_stream(const sandbox::Channel& channel, const sandbox::StreamTerms& terms,
                                std::uint64_t bandwidth, sandbox::Descriptors& descriptors);

}  // namespace vmcore::worker
