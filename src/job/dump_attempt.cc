// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/job/dump_attempt.h"

#include <poll.h>

#include <ctime>
#include <string>
#include <utility>
#include <vector>

#include "src/base/sys.h"
#include "src/image/page.h"
#include "src/job/available_memory.h"
#include "src/job/forecast.h"
#include "src/job/place_cache.h"
#include "src/staging/staged_file.h"

namespace vmcore::job {
namespace {

namespace fs = std::filesystem;

// Beside RAM, a dump has the memory of devices (VGA, firmware) and headers.
constexpr std::uint64_t kBesideRam = 128U << 20;

constexpr const char* kInstead =
    "Give a higher limit (none: no limit), or --consistency snapshot (slower, with a pause of "
    "milliseconds), or --consistency torn (no single moment)";

std::string mebibytes(std::uint64_t bytes) { return fmt::format("{} MiB", bytes >> 20); }

// Without a rehearsal: usually less than an eighth of memory is kept.
std::chrono::microseconds usual_pause(const GuestReport& report, const DumpOptions& dump,
                                      std::uint64_t memory) {
  const Workload workload{.kept_bytes = report.memory_size / 8,
                          .page_struct_bytes = report.memory_size / kPageSize * kPageStructSize,
                          .read_ahead = memory,
                          .threads = dump.how.threads};
  return forecast(workload).pause.most;
}

}  // namespace

fs::path spool_folder(const GuestDumpOptions& options) {
  if (!options.spool.empty()) {
    return options.spool;
  }
  return folder_beside(options.output);
}

Result<Fd> DumpAttempt::make_spool() const {
  const fs::path folder = spool_folder(options_);
  TRY_ASSIGN(const std::uint64_t room, staging::free_space(folder));
  const std::uint64_t needed = report_.memory_size + kBesideRam;
  if (room < needed) {
    return fail(Errc::no_space,
                "{} has {} free, and the guest's memory may need {} there until it is filtered: "
                "make room, or give another folder with --spool",
                folder.string(), mebibytes(room), mebibytes(needed));
  }
  return staging::create_unlinked(folder);
}

acquire::Microseconds DumpAttempt::elapsed() const {
  return std::chrono::duration_cast<acquire::Microseconds>(std::chrono::steady_clock::now() -
                                                           begun_);
}

// The host must not run out of memory because of a dump.
Result<> DumpAttempt::check_growth() {
  TRY_ASSIGN(const std::uint64_t growth, guest_.growth());
  const std::uint64_t available = available_memory();
  if (growth > available) {
    return fail(Errc::no_space,
                "the guest's memory is shared, and the host would allocate {} more for a snapshot, "
                "but has only {} available: use --consistency pause",
                mebibytes(growth), mebibytes(available));
  }
  return {};
}

// What is known to be missing is told before the guest stands still for nothing.
Result<> DumpAttempt::check_room(std::uint64_t kept_pages) {
  const fs::path folder = folder_beside(options_.output);
  TRY_ASSIGN(const std::uint64_t room, staging::free_space(folder));
  const std::uint64_t needed = least_size(options_.dump.how, kept_pages * kPageSize);
  if (room >= needed) {
    return {};
  }
  refused_ = true;
  return fail(Errc::no_space,
              "{} has {} free, and the dump needs at least {}: make room, or give another folder "
              "with -o; the guest was not touched",
              folder.string(), mebibytes(room), mebibytes(needed));
}

Result<> DumpAttempt::check_pause(std::chrono::microseconds expected) {
  using std::chrono::milliseconds;
  const milliseconds limit = options_.pause_limit;
  const bool pauses = report_.before.running && options_.consistency == Consistency::pause;
  if (pauses) {
    report_.forecast = expected;
  }
  if (!pauses || limit.count() == 0 || expected <= limit) {
    return {};
  }
  refused_ = true;
  return fail(
      Errc::limit,
      "the guest would be paused for about {} ms, more than --pause-limit allows ({} ms). {}",
      std::chrono::duration_cast<milliseconds>(expected).count(), limit.count(), kInstead);
}

Error DumpAttempt::limit_is_over() const {
  return {Errc::limit,
          fmt::format("the guest was paused for as long as --pause-limit allows ({} ms), and was "
                      "resumed before all of its memory was read: nothing is kept. {}",
                      options_.pause_limit.count(), kInstead)};
}

sandbox::Request DumpAttempt::request(sandbox::Input input) const {
  return {
      .input = std::move(input),
      .ram = report_.memory_size,
      .how = options_.dump.how,
      .hint = guest_.in_place() ? recall_place(guest_) : std::nullopt,
      .capture = Capture{.method = std::string(acquire::method_name(report_.method)),
                         .consistency = report_.consistency,
                         .guest = report_.identity,
                         .cost = {.duration_us = static_cast<std::uint64_t>(elapsed().count())}}};
}

bool DumpAttempt::will_wait() const {
  return guest_.in_place() && report_.before.running && options_.consistency == Consistency::pause;
}

bool DumpAttempt::copies() const {
  const bool is_awaited = !report_.before.running && options_.on_memory_read;
  return will_wait() || (guest_.in_place() && is_awaited);
}

Result<acquire::Acquired> DumpAttempt::acquire(const sandbox::Worker& worker) {
  memory_before_ = guest_.host_memory();
  const bool pauses = report_.before.running && options_.consistency != Consistency::snapshot;
  if (pauses) {
    limit_.begin();
  }
  auto got = guest_.acquire(report_.before, {.until = limit_.until(),
                                             .cancel = cancel_,
                                             .worker = worker.pid(),
                                             .has_no_end = [this] { limit_.end(); }});
  if (!got) {
    refused_ = got.error().code == Errc::limit && !limit_.is_over();
    return tl::unexpected(std::move(got).error());
  }
  report_.time = static_cast<std::uint64_t>(std::time(nullptr));
  acquire::Acquired acquired = *std::move(got);
  lease_ = acquired.lease.get();
  pause_ = Pause(std::move(acquired.lease), std::move(acquired.holder));
  if (pauses && options_.on_pause) {
    options_.on_pause(report_);
  }
  return acquired;
}

// After an interruption the lease still waits for the snapshot: QEMU would hang if it ended early
// (acquire/snapshot/snapshot.h).
Result<> DumpAttempt::await_snapshot(int file) {
  while (true) {
    TRY_ASSIGN(const bool over, lease_->over());
    if (over) {
      TRY_ASSIGN(report_.pause, pause_.end());
      return {};
    }
    TRY_ASSIGN(const std::uint64_t size, sys::file_size(file));
    if (on_progress_) {
      on_progress_(sandbox::Spooling{size});
    }
    constexpr int kLookEvery = 100;  // milliseconds
    pollfd wait{cancel_, POLLIN, 0};
    if (::poll(&wait, 1, kLookEvery) > 0) {
      return fail(Errc::cancelled, "interrupted");
    }
  }
}

Result<> DumpAttempt::give_work(sandbox::Worker& worker, int spool, int output) {
  if (guest_.in_place()) {
    TRY_ASSIGN(desk_, MemoryDesk::open(guest_, options_.dump.how.threads));
    std::vector<sandbox::NamedFd> descriptors = desk_->descriptors();
    descriptors.push_back({"output", output});
    if (copies()) {
      TRY_ASSIGN(ahead_, ReadAhead::make(*desk_, options_.memory));
      descriptors.push_back({"room", ahead_->room()});
    }
    return worker.request(
        request(sandbox::ProcessInput{.torn = options_.consistency == Consistency::torn,
                                      .rehearsal = will_wait(),
                                      .copied = copies()}),
        descriptors);
  }
  TRY(check_pause(forecast_stream_pause(report_.memory_size).least));
  TRY_ASSIGN(acquire::Acquired acquired, acquire(worker));
  std::vector<sandbox::NamedFd> descriptors{{"source", acquired.source.get()}, {"output", output}};
  if (spool >= 0) {
    descriptors.push_back({"spool", spool});
  }
  if (acquired.header) {
    TRY(await_snapshot(acquired.source.get()));
    descriptors.push_back({"header", acquired.header.get()});
  }
  return worker.request(request(std::move(acquired.input)), descriptors);
}

// Called when the pipe is read, and again when the spool is read.
Result<> DumpAttempt::end_pause(sandbox::Worker& worker) {
  if (!report_.pause) {
    TRY(pause_.let_go());
    limit_.end();
    TRY_ASSIGN(report_.pause, pause_.end());
    if (report_.before.running && options_.on_pause) {
      options_.on_pause(report_);
    }
  }
  const bool read = options_.consistency != Consistency::torn;  // that is still to come
  ahead_.reset();                                               // the worker has it still
  if (read) {
    desk_.reset();
  }
  if (std::exchange(cost_is_told_, true)) {
    return {};
  }
  const auto memory_now = guest_.host_memory();
  if (memory_before_ && memory_now && read) {
    report_.host_memory = static_cast<std::int64_t>(*memory_now - *memory_before_);
  }
  worker.cost(cost_of(report_));
  if (options_.on_memory_read && read) {
    see_after(guest_, report_);
    options_.on_memory_read();
  }
  return {};
}

Result<sandbox::Done> DumpAttempt::read_guest(sandbox::Worker& worker, int spool, int output) {
  TRY(give_work(worker, spool, output));
  const OnReady on_ready = [&](const sandbox::Ready& ready) -> Result<Fd> {
    TRY(check_room(ready.kept_pages));
    const std::chrono::microseconds rehearsed(ready.pause_us);
    TRY(check_pause(rehearsed.count() != 0 ? rehearsed
                                           : usual_pause(report_, options_.dump, options_.memory)));
    TRY_ASSIGN(acquire::Acquired acquired, acquire(worker));
    return std::move(acquired.source);
  };
  const auto locate = [&](std::span<const PhysRange> blocks) {
    return desk_
               ? desk_->locate(blocks)
               : fail(Errc::malformed, "worker protocol: unexpected request for places of memory");
  };
  CopyForWorker copy;
  if (ahead_) {
    copy = [&](std::uint64_t entries) -> Result<> {
      return ahead_ ? ahead_->copy(entries)
                    : fail(Errc::malformed, "worker protocol: unexpected request to copy memory");
    };
  }
  return follow_worker(worker, {.on_progress = writing_back(on_progress_, output_),
                                // Other guests are paused already.
                                .on_ready = guest_.in_place() ? on_ready : nullptr,
                                .fetch = [&](PhysRange range) { return guest_.fetch(range); },
                                .locate = locate,
                                .copy = copy,
                                .on_source_read = [&] { return end_pause(worker); },
                                .pause = &pause_,
                                .cancel = cancel_});
}

Result<DumpResult> DumpAttempt::run() {
  TRY(check_growth());
  const DumpOptions& dump = options_.dump;
  TRY_ASSIGN(Output output, Output::open(options_.output, dump.force, dump.bypass_cache));
  output_.emplace(std::move(output));
  Fd spool;
  if (guest_.needs_spool(report_.before)) {
    TRY_ASSIGN(spool, make_spool());
  }
  // It starts before the pause.
  TRY_ASSIGN(sandbox::Worker worker, start_worker());
  auto done = read_guest(worker, spool.get(), output_->fd());
  static_cast<void>(pause_.let_go());  // before anything is waited for
  if (!done) {
    done =
        tl::unexpected(pause_.cause_of(std::move(done).error(), limit_).value_or(limit_is_over()));
  }
  const Result<> ended = worker.end();
  limit_.end();
  static_cast<void>(pause_.end());
  if (!done) {
    if (!ended) {
      report_.remarks.push_back({ended.error().code, ended.error().message});
    }
    had_no_memory_ = !report_.pause && acquire::another_may_do(done.error());
    return tl::unexpected(std::move(done).error());
  }
  TRY(ended);  // else it may still write to the dump
  remember_place(guest_, done->place);
  DumpResult result{.summary = std::move(done->summary)};
  TRY(check_strict(dump, result));
  TRY(output_->keep(result));
  report_.duration = elapsed();
  return result;
}

}  // namespace vmcore::job
