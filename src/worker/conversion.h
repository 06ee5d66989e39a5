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

// Whether the request wants a rehearsal before the guest is paused.
bool has_rehearsal(const sandbox::Request& request);
// Whether a conversion copies memory into "room" before it compresses.
bool is_copied(const sandbox::Request& request);

// What a request asks for, of this job and of those that only look.
convert::ConvertOptions options_of(const sandbox::Request& request);

using Clock = std::chrono::steady_clock;

// Converts the input into "output"; a dry run has none. `begun`: when the dump was begun, by
// whoever asked for it.
Result<sandbox::Done> run_convert(const sandbox::Channel& channel, const sandbox::Request& request,
                                  Clock::time_point begun, Input& input,
                                  sandbox::Descriptors& descriptors,
                                  const convert::Waiting& waiting = {});

// The same, but the pages that are kept are copied into "room" first, so that the guest need not
// wait for compression. With a rehearsal most of them are known before the guest is paused.
Result<sandbox::Done> run_convert_copied(const sandbox::Channel& channel,
                                         const sandbox::Request& request, Clock::time_point begun,
                                         const sources::ProcessReader& reader,
                                         sandbox::Descriptors& descriptors);

}  // namespace vmcore::worker
