// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/daemon/job_words.h"

#include <algorithm>
#include <utility>

#include "src/report/crash_event.h"
#include "src/report/dump.h"
#include "src/report/info.h"
#include "src/report/receive.h"

namespace vmcore::daemon {
namespace {

using acquire::GuestEvent;
using report::DumpFile;
using std::chrono::seconds;

// A capture kernel that sends nothing by then does not send.
constexpr seconds kFirstWord{60};

std::vector<std::string> words_of(const StartJob& job, unsigned level) {
  switch (job.kind) {
    case JobKind::look:
      return {"info", "--output", "json", "--ends-with-stdin"};
    case JobKind::receive:
      return {"receive",    "-q",
              "--keep",     "--output",
              "json",       "--ends-with-stdin",
              "--deadline", std::to_string(job.limit.count()),
              "--wait",     std::to_string(std::min(job.limit, kFirstWord).count())};
    case JobKind::flash:
    case JobKind::dump:
      return {"dump",
              "-q",
              "--keep",
              "--flash",
              "--output",
              "json",
              "--ends-with-stdin",
              "--dump-level",
              std::to_string(level)};
  }
  return {};
}

// The job reads what is configured; a guest's definition may ask for less.
std::vector<std::string> limits_of(const vault::GuestLimits& limits) {
  std::vector<std::string> words;
  if (limits.bytes) {
    words.insert(words.end(), {"--guest-size", std::to_string(*limits.bytes)});
  }
  if (limits.count) {
    words.insert(words.end(), {"--guest-count", std::to_string(*limits.count)});
  }
  return words;
}

std::vector<std::string> words_of(const job::Budget& share, JobKind kind) {
  std::vector<std::string> words{"--threads", std::to_string(share.threads)};
  if (kind != JobKind::receive) {  // which copies nothing
    words.insert(words.end(), {"--memory-budget", std::to_string(share.memory)});
  }
  return words;
}

JobEnded ended_with(const std::string& id, const Result<DumpFile>& dump) {
  if (dump && id.empty()) {
    return {.error = Error{Errc::io, "the job names no stored crash"}};
  }
  return dump ? JobEnded{.id = id, .whole = dump->as_asked && !dump->summary.incomplete}
              : JobEnded{.id = id, .error = dump.error()};
}

std::string event_text(const GuestEvent& event) {
  return report::to_json(
      report::CrashEvent{.kind = std::string(acquire::kind_name(event.kind)),
                         .time_us = static_cast<std::uint64_t>(event.time.count()),
                         .guest = event.name,
                         .uuid = event.uuid,
                         .found = event.found,
                         .details = event.details});
}

JobEnded read_end(const report::JobEnd& end, JobKind kind) {
  if (kind == JobKind::receive) {
    const auto report = report::receive_from_json(end.report);
    return report ? ended_with(report->kept, report->dump) : JobEnded{.error = report.error()};
  }
  const auto report = report::dump_from_json(end.report);
  if (!report) {
    return {.error = report.error()};
  }
  if (kind == JobKind::flash && !report->kept.empty()) {
    return {.id = report->kept, .whole = true};  // a dump was never wanted
  }
  JobEnded ended = ended_with(report->kept, report->dump);
  ended.left_out = report->memory;
  return ended;
}

struct Reader {
  JobKind kind;

  JobSays operator()(const report::JobProgress&) const { return {}; }
  JobSays operator()(const report::JobReceived&) const { return {}; }
  JobSays operator()(const report::JobLog&) const { return {}; }
  JobSays operator()(const report::JobStream& stream) const {
    return {.what = JobNews(JobStreams{}), .monitor = stream.monitor};
  }
  JobSays operator()(const report::JobMemoryRead& read) const {
    return {.what = JobNews(JobMemoryRead{}), .monitor = read.monitor};
  }
  JobSays operator()(const report::JobFlash& flash) const {
    return {.what = JobNews(JobFlash{flash.kept, flash.why, flash.signature})};
  }
  JobSays operator()(const report::JobEnd& end) const {
    return {.what = JobNews(read_end(end, kind)), .monitor = end.monitor};
  }
  JobSays operator()(const report::JobGuestEvent& event) const {
    const auto known = acquire::kind_named(event.what);
    if (!known) {
      return {};
    }
    GuestEvent told{.kind = *known, .details = event.details};
    told.time = std::chrono::microseconds(event.time_us);
    return {.what = told};
  }
};

}  // namespace

std::vector<std::string> JobPlaces::words() const {
  std::vector<std::string> words{"--store", store.string()};
  if (!config.empty()) {
    words.insert(words.end(), {"--config", config.string()});
  }
  return words;
}

JobCommand job_command(const StartJob& job, LentGuest guest, const JobPlaces& places,
                       const config::GuestPolicy& policy, const job::Budget& share) {
  JobCommand command{.words = words_of(job, policy.level), .guest = std::move(guest)};
  command.reports = job.kind != JobKind::look;
  if (job.kind != JobKind::look) {
    command.event = event_text(job.event);
    for (const auto& more : {places.words(), limits_of(policy.store), words_of(share, job.kind)}) {
      command.words.insert(command.words.end(), more.begin(), more.end());
    }
  }
  command.waits = job.kind == JobKind::dump || job.kind == JobKind::flash;
  return command;
}

Result<JobSays> read_job_line(std::string_view line, JobKind kind) {
  TRY_ASSIGN(const report::JobEvent event, report::job_event_from_line(line));
  return std::visit(Reader{kind}, event);
}

JobLooked read_look(std::string_view text) {
  const auto info = report::info_from_json(text);
  if (info && info->kernel) {
    return {info->kernel->panicked};
  }
  return {info ? fail(Errc::not_found, "no kernel is found in its memory")
               : fail(Errc::io, "vmcorectl info tells nothing of it")};
}

}  // namespace vmcore::daemon
