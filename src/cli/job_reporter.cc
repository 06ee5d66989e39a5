// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/cli/job_reporter.h"

#include <fcntl.h>
#include <poll.h>

#include <span>
#include <utility>
#include <variant>
#include <vector>

#include "src/base/sys.h"

namespace vmcore::cli {

void add_job_options(CLI::App& command, JobOptions& options,
                     std::initializer_list<const char*> except) {
  CLI::Option* const report =
      command.add_option("--report-fd", options.report_fd,
                         "For services: the descriptor to which events and the report are written");
  CLI::Option* const monitor =
      command.add_option("--monitor-fd", options.monitor_fd,
                         "For services: the descriptor of a connected monitor of --qmp");
  CLI::Option* const hold = command.add_option(
      "--hold-fd", options.hold_fd,
      "For services: a descriptor that is closed when the monitor goes back for good");
  for (CLI::Option* const option : {report, monitor, hold}) {
    option->check(CLI::Range(3, 1 << 20));
    for (const char* const other : except) {
      option->excludes(command.get_option(other));
    }
  }
  monitor->needs(report)->needs(command.get_option("--qmp"));
  hold->needs(monitor);
}

Result<JobReporter> JobReporter::open(JobOptions& options) {
  JobReporter reporter;
  if (const int fd = std::exchange(options.report_fd, -1); fd >= 0) {
    if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
      return fail(Errc::invalid, "--report-fd: descriptor {} is not open", fd);
    }
    reporter.fd_ = Fd(fd);
  }
  if (const int fd = std::exchange(options.monitor_fd, -1); fd >= 0) {
    auto monitor = job::LentMonitor::take(fd);
    if (!monitor) {
      return in_context(std::move(monitor).error(), "--monitor-fd");
    }
    reporter.monitor_ = *std::move(monitor);
  }
  if (const int fd = std::exchange(options.hold_fd, -1); fd >= 0) {
    if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
      return fail(Errc::invalid, "--hold-fd: descriptor {} is not open", fd);
    }
    reporter.held_ = Fd(fd);
  }
  return reporter;
}

// A service that has gone does not end the job.
void JobReporter::write(const report::JobEvent& event) const {
  if (fd_) {
    const std::string line = report::to_line(event);
    static_cast<void>(sys::write_full(fd_.get(), std::as_bytes(std::span(line))));
  }
}

// A pipe that can be written to has room for 4 KiB (pipe(7)).
bool JobReporter::can_write() const {
  pollfd room{fd_.get(), POLLOUT, 0};
  return fd_ && ::poll(&room, 1, 0) == 1 && (room.revents & POLLOUT) != 0;
}

job::OnProgress JobReporter::callback(job::OnProgress next) {
  return [this, next = std::move(next)](const sandbox::Event& event) {
    if (const auto* progress = std::get_if<sandbox::Progress>(&event); progress && can_write()) {
      write(report::JobProgress{.done = progress->done, .all = progress->all});
    } else if (const auto* got = std::get_if<sandbox::Spooling>(&event); got && can_write()) {
      write(report::JobReceived{.bytes = got->bytes});
    }
    next(event);
  };
}

std::optional<bool> JobReporter::give_monitor_back() {
  if (!monitor_) {
    return std::nullopt;
  }
  std::vector<report::JobEvent> events;
  const bool usable = monitor_->give_back(events);
  for (const report::JobEvent& event : events) {
    write(event);
  }
  return usable;
}

std::optional<bool> JobReporter::give_back_for_good() {
  const std::optional<bool> usable = give_monitor_back();
  if (monitor_) {
    monitor_->let_go();
  }
  held_.reset();
  return usable;
}

std::function<void()> JobReporter::on_memory_read() {
  if (!fd_) {
    return {};
  }
  return [this] {
    const std::optional<bool> monitor = give_back_for_good();
    write(report::JobMemoryRead{.monitor = monitor});
  };
}

void JobReporter::give_back_for_now() {
  const std::optional<bool> monitor = give_monitor_back();
  write(report::JobMemoryRead{.monitor = monitor});
}

void JobReporter::take_monitor_again() {
  if (monitor_) {
    monitor_->take_again();
  }
}

void JobReporter::tell(const job::ReceiveReport& report) {
  if (report.hello && !std::exchange(told_stream_, true)) {
    const std::optional<bool> monitor = give_back_for_good();
    write(report::JobStream{.monitor = monitor});
  }
  if (!report.log.empty() && !std::exchange(told_log_, true)) {
    write(report::JobLog{.path = report.log.string(), .panic = report.panic});
  }
}

int JobReporter::end(int code, const std::string& report) {
  const std::optional<bool> monitor = give_monitor_back();
  write(report::JobEnd{.exit_code = code, .monitor = monitor, .report = report});
  return code;
}

}  // namespace vmcore::cli
