// SPDX-License-Identifier: GPL-2.0-or-later
// The jobs of a worker: each takes a request and its descriptors, and tells the outcome through the
// channel.
#pragma once

#include "src/base/result.h"
#include "src/sandbox/channel.h"
#include "src/sandbox/descriptors.h"
#include "src/sandbox/messages.h"

namespace vmcore::worker {

// Runs the job. What it returns is the last event to send.
Result<sandbox::Done> run_job(const sandbox::Channel& channel, sandbox::Request request,
                              sandbox::Descriptors& descriptors);

}  // namespace vmcore::worker
