// SPDX-License-Identifier: GPL-2.0-or-later
// DumpAttempt: one dump of a guest that was opened by one method: room, pause, worker, staging,
// commit.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>

#include "src/acquire/guest.h"
#include "src/base/result.h"
#include "src/job/dump_job.h"
#include "src/job/memory_desk.h"
#include "src/job/output.h"
#include "src/job/pause.h"
#include "src/job/pause_limit.h"
#include "src/job/read_ahead.h"
#include "src/job/run_worker.h"
#include "src/sandbox/worker.h"

namespace vmcore::job {

// The folder for what has no folder of its own, or the one that was asked for.
std::filesystem::path spool_folder(const GuestDumpOptions& options);

class DumpAttempt {
 public:
  // All are borrowed. What the guest went through is told in `report`; given up with
  // Errc::cancelled when `cancel` becomes readable.
  DumpAttempt(acquire::Guest& guest, const GuestDumpOptions& options, GuestReport& report,
              const OnProgress& on_progress, int cancel)
      : guest_(guest),
        options_(options),
        report_(report),
        on_progress_(on_progress),
        cancel_(cancel),
        begun_(std::chrono::steady_clock::now()),
        limit_(options.pause_limit) {}

  // Call once.
  Result<DumpResult> run();
  // Whether it failed because the guest's memory could not be had: another method may do.
  bool had_no_memory() const { return had_no_memory_; }
  // Whether it ended before the guest was touched, for that would have been against the options.
  bool refused() const { return refused_; }

 private:
  acquire::Microseconds elapsed() const;
  Result<> check_growth();
  Result<> check_room(std::uint64_t kept_pages);
  Result<> check_pause(std::chrono::microseconds expected);
  Result<Fd> make_spool() const;
  sandbox::Request request(sandbox::Input input) const;
  // Whether the guest stands still, and runs again when its memory is read in place.
  bool will_wait() const;
  // Whether its memory is copied before it is compressed.
  bool copies() const;
  // Lets the guest stand still; returns what the worker gets.
  Result<acquire::Acquired> acquire(const sandbox::Worker& worker);
  Error limit_is_over() const;
  // Waits until QEMU has written its snapshot. What comes then is a file.
  Result<> await_snapshot(int file);
  Result<> give_work(sandbox::Worker& worker, int spool, int output);
  Result<> end_pause(sandbox::Worker& worker);
  Result<sandbox::Done> read_guest(sandbox::Worker& worker, int spool, int output);

  acquire::Guest& guest_;
  const GuestDumpOptions& options_;
  GuestReport& report_;
  const OnProgress& on_progress_;
  int cancel_;
  std::chrono::steady_clock::time_point begun_;
  std::optional<Output> output_;
  acquire::Lease* lease_ = nullptr;  // of pause_
  Pause pause_;
  PauseLimit limit_;
  std::unique_ptr<MemoryDesk> desk_;  // of memory that is read in place
  std::optional<ReadAhead> ahead_;    // while memory is copied
  std::optional<std::uint64_t> memory_before_;
  bool cost_is_told_ = false;
  bool had_no_memory_ = false;
  bool refused_ = false;
};

}  // namespace vmcore::job
