// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/job/read_paused.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "src/job/guest_lock.h"
#include "src/job/memory_desk.h"
#include "src/job/pause.h"
#include "src/job/pause_limit.h"
#include "src/job/place_cache.h"
#include "src/job/run_worker.h"

namespace vmcore::job {
namespace {

sandbox::Request request_for(acquire::Guest& guest, sandbox::Operation operation, unsigned threads,
                             bool running) {
  return {.operation = operation,
          .input = sandbox::ProcessInput{.rehearsal = running},
          .how = {.threads = threads},
          .search_memory = !running,  // that is done before it stands still
          .hint = recall_place(guest)};
}

Error limit_is_over(std::chrono::milliseconds limit) {
  return {Errc::limit, fmt::format("the guest was paused for as long as --pause-limit allows ({} "
                                   "ms), and was resumed before all of its memory was read. Give a "
                                   "higher limit (none: no limit), or leave out --pause",
                                   limit.count())};
}

}  // namespace

Result<TextResult> read_held(acquire::Guest& guest, sandbox::Request request, GuestReport& report,
                             std::chrono::milliseconds pause_limit, int cancel,
                             std::vector<sandbox::NamedFd> descriptors) {
  Pause pause;
  PauseLimit limit(pause_limit);
  TRY_ASSIGN(const auto desk, MemoryDesk::open(guest, request.how.threads));
  std::ranges::move(desk->descriptors(), std::back_inserter(descriptors));
  TRY_ASSIGN(request.ram, guest.memory_size());
  TRY_ASSIGN(sandbox::Worker worker, start_worker());
  const auto on_ready = [&](const sandbox::Ready&) -> Result<Fd> {
    if (report.before.running) {
      limit.begin();
    }
    TRY_ASSIGN(acquire::Acquired acquired,
               guest.acquire(report.before,
                             {.until = limit.until(), .cancel = cancel, .worker = worker.pid()}));
    pause = Pause(std::move(acquired.lease), std::move(acquired.holder));
    return std::move(acquired.source);
  };
  const auto locate = [&](std::span<const PhysRange> blocks) { return desk->locate(blocks); };
  const auto on_source_read = [&]() -> Result<> {
    TRY(pause.let_go());
    limit.end();
    TRY_ASSIGN(report.pause, pause.end());
    return {};
  };
  auto result = read_text(worker, std::move(request), std::move(descriptors),
                          {.on_ready = on_ready,
                           .locate = locate,
                           .on_source_read = on_source_read,
                           .pause = &pause,
                           .cancel = cancel});
  static_cast<void>(pause.let_go());  // before anything is waited for
  if (!result) {
    result = tl::unexpected(
        pause.cause_of(std::move(result).error(), limit).value_or(limit_is_over(pause_limit)));
  }
  static_cast<void>(pause.end());
  if (!result) {
    return in_context(std::move(result).error(), guest.name());
  }
  result->name = guest.name();
  remember_place(guest, result->place);
  return result;
}

PausedText read_paused_guest(const acquire::Selection& selection, sandbox::Operation operation,
                             unsigned threads, std::chrono::milliseconds pause_limit,
                             Interrupt& interrupt) {
  acquire::Selection direct = selection;
  direct.method = acquire::Method::direct;
  auto opened = acquire::open_guest(direct);
  if (!opened) {
    return {tl::unexpected(std::move(opened).error()), {}};
  }
  acquire::Guest& guest = *opened->guest;
  std::vector<Remark> remarks;
  const auto lock = lock_guest(guest.keys(), "reads the memory of the paused guest", remarks);
  if (!lock) {
    return {in_context(lock.error(), guest.name()), {}};
  }
  auto report = look_at(guest);
  if (!report) {
    return {in_context(std::move(report).error(), guest.name()), {}};
  }
  report->remarks.insert(report->remarks.end(), remarks.begin(), remarks.end());
  interrupt.arm();
  auto text = read_held(guest, request_for(guest, operation, threads, report->before.running),
                        *report, pause_limit, interrupt.fd());
  if (auto after = guest.state()) {
    report->after = *std::move(after);
  }
  return {std::move(text), *std::move(report)};
}

}  // namespace vmcore::job
