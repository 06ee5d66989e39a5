// SPDX-License-Identifier: GPL-2.0-or-later
// What a service that runs a verb as a job gives it and gets from it: `--report-fd`, `--monitor-fd`
// and `--hold-fd` (docs/jobs.md).
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <optional>
#include <string>

#include "src/base/fd.h"
#include "src/job/convert_job.h"
#include "src/job/lent_monitor.h"
#include "src/job/receive_job.h"
#include "src/report/job_event.h"

namespace vmcore::cli {

struct JobOptions {
  int report_fd = -1;
  int monitor_fd = -1;
  int hold_fd = -1;
};

// After --qmp was added. Neither can be given with the options in `except`.
void add_job_options(CLI::App& command, JobOptions& options,
                     std::initializer_list<const char*> except);

// Tells the service what the job does. Without --report-fd it does nothing. Writes from one thread.
class JobReporter {
 public:
  // Takes over the descriptors of the options, once. Errc::invalid if they are not what they should
  // be.
  static Result<JobReporter> open(JobOptions& options);

  // The monitor for acquire::Selection; null if none was lent.
  std::shared_ptr<qmp::Client> monitor() const { return monitor_ ? monitor_->client() : nullptr; }
  // Calls `next` as well. Borrows this object.
  job::OnProgress callback(job::OnProgress next);
  // For GuestDumpOptions: the monitor goes back for good. Empty without --report-fd. Borrows this
  // object.
  std::function<void()> on_memory_read();
  // Tells the same, and gives the monitor back until the service lends it again.
  void give_back_for_now();
  void take_monitor_again();
  void tell(const job::ReceiveReport& report);
  void tell(const report::JobFlash& flash) { write(flash); }
  // The last; returns the code.
  int end(int code, const std::string& report);

 private:
  JobReporter() = default;
  void write(const report::JobEvent& event) const;
  // Progress must not delay a job, or the pause of a guest.
  bool can_write() const;
  std::optional<bool> give_monitor_back();
  std::optional<bool> give_back_for_good();

  Fd fd_;
  Fd held_;
  std::optional<job::LentMonitor> monitor_;
  bool told_stream_ = false;
  bool told_log_ = false;
};

}  // namespace vmcore::cli
