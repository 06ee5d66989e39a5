// SPDX-License-Identifier: GPL-2.0-or-later
// The job that writes a dump.
#pragma once

#include <chrono>

#include "src/base/result.h"
#include "src/convert/convert.h"
#include "src/sandbox/channel.h"
#include "src/sandbox/messages.h"
#include "src/worker/input.h"

namespace vmcore::worker {

// What can be found out of a guest before it stands still is to be found out then.
bool has_draft(const sandbox::Request& request);

// What a request asks for, of this job and of those that only look.
convert::ConvertOptions options_of(const sandbox::Request& request);

using Clock = std::chrono::steady_clock;

// Converts the input into "output"; a dry run has none. `begun`: when the dump was begun, by
// whoever asked for it.
Result<sandbox::Done> run_convert(const sandbox::Channel& channel, const sandbox::Request& request,
                                  Clock::time_point begun, Input& input,
                                  sandbox::Descriptors& descriptors,
                                  const convert::Waiting& waiting = {});

// Of a guest that waits: what it will keep is found out before, and copied into "room" when it
// stands still.
Result<sandbox::Done> run_convert_waiting(const sandbox::Channel& channel,
                                          const sandbox::Request& request, Clock::time_point begun,
                                          sandbox::Descriptors& descriptors);

}  // namespace vmcore::worker
