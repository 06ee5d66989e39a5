// SPDX-License-Identifier: GPL-2.0-or-later
// Running one request in a worker, up to its last event.
#pragma once

#include <functional>
#include <span>

#include "src/base/result.h"
#include "src/job/convert_job.h"
#include "src/job/pause.h"
#include "src/sandbox/worker.h"

namespace vmcore::job {

// Answers a Want of the worker: a descriptor of a dump of that range.
using Fetch = std::function<Result<Fd>(PhysRange)>;

// Answers a Locate of the worker.
using FindRam = std::function<Result<ImageSource>(std::span<const PhysRange>)>;

// Answers a Copy of the worker: so many entries.
using CopyForWorker = std::function<Result<>(std::uint64_t)>;

// Answers that the worker is ready: pauses the guest, and returns the pipe.
using OnReady = std::function<Result<Fd>(const sandbox::Ready&)>;

// What the job does while its worker works. All members may be empty.
struct WorkerCallbacks {
  OnProgress on_progress = {};
  OnReady on_ready = {};  // called at most once; an Error ends the job
  Fetch fetch = {};
  FindRam locate = {};
  CopyForWorker copy = {};                        // an Error ends the job
  std::function<Result<>()> on_source_read = {};  // an Error ends the job
  Pause* pause = nullptr;  // borrowed; the job is given up when its lease is broken
  int cancel = -1;         // the job is given up with Errc::cancelled when this becomes readable,
  std::function<bool()> on_cancel = {};  // unless this says that it goes on
};

Result<sandbox::Worker> start_worker();

// Follows a worker that has its request. On return the worker is done, or must be destroyed.
Result<sandbox::Done> follow_worker(sandbox::Worker& worker, const WorkerCallbacks& callbacks);

// Both, for a request whose descriptors may stay open.
Result<sandbox::Done> run_worker(sandbox::Request request,
                                 std::span<const sandbox::NamedFd> descriptors,
                                 const WorkerCallbacks& callbacks);

// With `strict`, an outcome that is not as asked becomes an error.
Result<> check_strict(const DumpOptions& options, const DumpResult& result);

}  // namespace vmcore::job
