// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/job/run_worker.h"

#include <poll.h>

#include <array>
#include <cerrno>
#include <utility>
#include <variant>
#include <vector>

namespace vmcore::job {
namespace {

Result<> answer(sandbox::Worker& worker, PhysRange range, const Fetch& fetch) {
  Result<Fd> memory = fetch
                          ? fetch(range)
                          : fail(Errc::malformed, "worker protocol: unexpected request for memory");
  if (!memory) {
    return worker.have({memory.error()}, {});
  }
  const int fds[] = {memory->get()};
  return worker.have({}, fds);
}

Result<> answer(sandbox::Worker& worker, const sandbox::Ready& ready, const OnReady& on_ready) {
  if (!on_ready) {
    return fail(Errc::malformed, "worker protocol: unexpected request to pause the guest");
  }
  TRY_ASSIGN(const Fd pipe, on_ready(ready));
  const int fds[] = {pipe.get()};
  return worker.have({}, fds);
}

Result<> answer(sandbox::Worker& worker, const sandbox::Locate& asked, const FindRam& locate) {
  Result<ImageSource> source =
      locate ? locate(asked.blocks)
             : fail(Errc::malformed, "worker protocol: unexpected request for places of memory");
  if (source && (source->files.size() + 1 > sandbox::kMaxFds ||
                 source->pieces.size() > sandbox::kMaxPieces)) {
    source = fail(Errc::unsupported,
                  "the guest's memory is in {} pieces of {} files, which is too many for method "
                  "direct: give another --method",
                  source->pieces.size(), source->files.size());
  }
  if (!source) {
    return worker.located({.error = source.error(), .pieces = {}}, {});
  }
  std::vector<int> fds{source->pagemap.get()};
  for (const Fd& file : source->files) {
    fds.push_back(file.get());
  }
  return worker.located(
      {.error = {}, .pieces = std::move(source->pieces), .cpus = std::move(source->cpus)}, fds);
}

Result<> answer(sandbox::Worker& worker, const sandbox::Copy& asked, const CopyForWorker& copy) {
  if (!copy) {
    return fail(Errc::malformed, "worker protocol: unexpected request to copy memory");
  }
  TRY(copy(asked.entries));
  return worker.have({}, {});
}

// Waits for the worker's next event.
Result<> wait_for_event(const sandbox::Worker& worker, const WorkerCallbacks& callbacks) {
  while (true) {
    const int lease = callbacks.pause != nullptr ? callbacks.pause->fd() : -1;
    std::array<pollfd, 3> waits{pollfd{worker.fd(), POLLIN, 0}, pollfd{callbacks.cancel, POLLIN, 0},
                                pollfd{lease, POLLIN, 0}};
    const int ready = ::poll(waits.data(), waits.size(), -1);
    if (ready < 0 && errno != EINTR) {
      return fail_errno(errno, "poll");
    }
    if (ready <= 0) {
      continue;
    }
    if (waits[1].revents != 0 && !(callbacks.on_cancel && callbacks.on_cancel())) {
      return fail(Errc::cancelled, "interrupted");
    }
    // What the worker tells comes first: it may have let go.
    if (waits[0].revents != 0) {
      return {};
    }
    if (waits[2].revents != 0) {
      TRY(callbacks.pause->look());
    }
  }
}

}  // namespace

Result<sandbox::Worker> start_worker() {
  TRY_ASSIGN(const auto executable, sandbox::worker_executable());
  return sandbox::Worker::start(executable);
}

Result<sandbox::Done> follow_worker(sandbox::Worker& worker, const WorkerCallbacks& callbacks) {
  bool was_ready = false;
  while (true) {
    TRY(wait_for_event(worker, callbacks));
    TRY_ASSIGN(sandbox::Event event, worker.next_event());
    if (auto* done = std::get_if<sandbox::Done>(&event)) {
      return std::move(*done);
    }
    if (auto* failed = std::get_if<sandbox::Failed>(&event)) {
      return tl::unexpected(std::move(failed->error));
    }
    if (const auto* want = std::get_if<sandbox::Want>(&event)) {
      TRY(answer(worker, want->range, callbacks.fetch));
      continue;
    }
    if (const auto* ready = std::get_if<sandbox::Ready>(&event)) {
      if (std::exchange(was_ready, true)) {
        return fail(Errc::malformed, "worker protocol: second request to pause the guest");
      }
      TRY(answer(worker, *ready, callbacks.on_ready));
      continue;
    }
    if (const auto* asked = std::get_if<sandbox::Locate>(&event)) {
      TRY(answer(worker, *asked, callbacks.locate));
      continue;
    }
    if (const auto* asked = std::get_if<sandbox::Copy>(&event)) {
      TRY(answer(worker, *asked, callbacks.copy));
      continue;
    }
    if (std::holds_alternative<sandbox::SourceRead>(event) && callbacks.on_source_read) {
      TRY(callbacks.on_source_read());
    }
    if (callbacks.on_progress) {
      callbacks.on_progress(event);
    }
  }
}

Result<sandbox::Done> run_worker(sandbox::Request request,
                                 std::span<const sandbox::NamedFd> descriptors,
                                 const WorkerCallbacks& callbacks) {
  TRY_ASSIGN(sandbox::Worker worker, start_worker());
  TRY(worker.request(std::move(request), descriptors));
  return follow_worker(worker, callbacks);
}

Result<> check_strict(const DumpOptions& options, const DumpResult& result) {
  if (!options.strict || result.as_asked()) {
    return {};
  }
  std::string reason = "pages are missing";
  if (!result.summary.incomplete) {
    reason = fmt::format("level {} was asked, level {} was reached", result.summary.level_asked,
                         result.summary.level_reached);
  }
  for (const Remark& remark : result.summary.remarks) {
    reason += "; " + remark.text;
  }
  return fail(Errc::unsupported, "the dump would not be as asked, and --strict was given: {}",
              reason);
}

}  // namespace vmcore::job
