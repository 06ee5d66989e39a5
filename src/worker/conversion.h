// The job that writes a dump.
#pragma once

#include <vector>

#include "src/base/fd.h"
#include "src/base/result.h"
#include "src/convert/convert.h"
#include "src/sandbox/channel.h"
#include "src/sandbox/messages.h"
#include "src/worker/input.h"

namespace vmcore::worker {

// What a request asks for, of this job and of those that only look.
convert::ConvertOptions options_of(const sandbox::Request& request);

// Converts the input into the output, which may be null where nothing is written.
Result<sandbox::Done> run_convert(const sandbox::Channel& channel, const sandbox::Request& request,
                                  Input& input, const Fd* output,
                                  const convert::Waiting& waiting = {});

// Of a guest that waits: what it will keep is found out before, and copied when it stands still.
// `fds`: the room for the copy, then the output.
Result<sandbox::Done> run_convert_waiting(const sandbox::Channel& channel,
                                          const sandbox::Request& request, std::vector<Fd> fds);

}  // namespace vmcore::worker
