// Running one request in a worker, up to its last event.
#pragma once

#include <functional>
#include <span>

#include "src/base/result.h"
#include "src/job/convert_job.h"
#include "src/sandbox/worker.h"

namespace vmcore::job {

// Answers a Want of the worker: a descriptor of a dump of that range.
using Fetch = std::function<Result<Fd>(PhysRange)>;

// Starts a worker, gives it the request and passes on what it tells. `fetch` may be empty where the
// request does not need it.
Result<sandbox::Done> run_worker(const sandbox::Request& request, std::span<const int> fds,
                                 const OnProgress& on_progress, const Fetch& fetch = {});

// The request of a dump with these options.
sandbox::Request make_request(const DumpOptions& options, sandbox::InputKind input);

// With `strict`, an outcome that is not as asked becomes an error.
Result<> check_strict(const DumpOptions& options, const DumpResult& result);

}  // namespace vmcore::job
