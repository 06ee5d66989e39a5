// SPDX-License-Identifier: GPL-2.0-or-later
// JobEvent: what the process of a job tells the service that started it, through the descriptor of
// `--report-fd`: one JSON document a line (docs/schema/job.json, docs/jobs.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "src/base/result.h"
#include "src/report/signature.h"

namespace vmcore::report {

// Pages that are compressed and written. Dropped if the service does not read.
struct JobProgress {
  std::uint64_t done = 0;
  std::uint64_t all = 0;
};
// Bytes of the guest's stream so far. Dropped if the service does not read.
struct JobReceived {
  std::uint64_t bytes = 0;
};
// Of `receive`: the guest's own capture kernel has begun to send. The monitor is not used from then
// on.
struct JobStream {
  // Whether a monitor that was lent can be used as it is, or has to be connected again. Nothing if
  // none was lent.
  std::optional<bool> monitor = {};
};
// Of `receive`: the guest's kernel log is kept.
struct JobLog {
  std::string path = {};
  std::string panic = {};  // the line that says why it panicked, or empty
};
// What happened to the guest while the job had its monitor.
struct JobGuestEvent {
  std::string what = {};      // "panicked", "reset": acquire::kind_name()
  std::uint64_t time_us = 0;  // since the epoch, of QEMU's clock
  std::string details = {};   // in QEMU's words; untrusted
};
// All of the guest's memory that the dump needs is read: the guest belongs to the service again.
// Told at most once.
struct JobMemoryRead {
  std::optional<bool> monitor = {};  // as above
};
// Of `--flash`: the crash's flash report, in the draft.
struct JobFlash {
  bool kept = false;       // anything of it
  std::string why = {};    // not, or why it says less than it could
  std::string draft = {};  // the path of the folder, until the crash has its name
  CrashSignature signature = {};
};
// The last line. A process that ends without it was killed, or refused its command line.
struct JobEnd {
  int exit_code = 0;
  std::optional<bool> monitor = {};  // as above
  std::string report = {};           // the document of --output json: dump.h, receive.h
};
using JobEvent = std::variant<JobProgress, JobReceived, JobStream, JobLog, JobGuestEvent,
                              JobMemoryRead, JobFlash, JobEnd>;

// What the service says to a job, on the standard input that ends it otherwise (--ends-with-stdin):
// nobody can read that memory again, for its guest is carried on. From then on only signals end the
// job before its dump is kept.
inline constexpr char kFinishWord = 'f';

inline constexpr std::string_view kJobSchema = "vmcorectl-job/1";
// Bytes of a line, which holds at most one report.
inline constexpr std::size_t kMaxJobLine = 1U << 20;

// In ASCII, with a newline at its end and none before.
std::string to_line(const JobEvent& event);
// Errc::malformed where the line is no such document.
Result<JobEvent> job_event_from_line(std::string_view line);

}  // namespace vmcore::report
