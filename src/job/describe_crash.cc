// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/job/describe_crash.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>

#include "src/base/fd.h"
#include "src/base/whole_file.h"
#include "src/job/budget.h"
#include "src/job/flash.h"
#include "src/job/read_job.h"
#include "src/staging/staged_folder.h"

namespace vmcore::job {
namespace {

constexpr std::array kDumpNames{"vmcore", "vmcore.incomplete"};

bool is_there(const std::string& folder, const std::string& name) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(folder + "/" + name, ignored);
}

// The file of the dump in the folder; empty where it has none.
std::string dump_in(const std::string& folder) {
  const auto* const found =
      std::ranges::find_if(kDumpNames, [&](const char* name) { return is_there(folder, name); });
  return found == kDumpNames.end() ? "" : *found;
}

Result<> write(const std::string& folder, const char* name, const std::string& text) {
  TRY_ASSIGN(const Fd open, staging::open_folder_at(AT_FDCWD, folder, "."));
  return staging::write_file_at(open.get(), name, text, 0600);
}

Result<std::string> log_of(const std::string& folder, const std::string& dump) {
  TRY_ASSIGN(const TextResult log,
             read_file(folder + "/" + dump, sandbox::Operation::dmesg, whole_budget().threads));
  return log.text;
}

Result<report::TriageReport> report_of(const std::string& folder, const std::string& dump) {
  if (!dump.empty()) {
    TRY_ASSIGN(const TextResult report,
               read_file(folder + "/" + dump, sandbox::Operation::report, whole_budget().threads));
    return report::triage_from_json(report.text);
  }
  const std::string path = folder + "/" + kLogName;
  const Fd log(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  return log ? report_of_log(log.get(), -1) : fail_errno(errno, path);
}

// A dump without a readable log, or of which no report can be made, is a dump all the same.
void remark(report::Manifest& manifest, const char* what, const Result<>& done) {
  if (!done) {
    manifest.remarks.push_back(
        {done.error().code, fmt::format("{}: {}", what, done.error().message)});
  }
}

Result<> add_log(const std::string& folder, const std::string& dump) {
  if (dump.empty() || is_there(folder, kLogName)) {
    return {};
  }
  TRY_ASSIGN(const std::string log, log_of(folder, dump));
  return write(folder, kLogName, log);
}

Result<> add_report(report::Manifest& manifest, const std::string& folder,
                    const std::string& dump) {
  if (is_there(folder, kReportName)) {
    TRY_ASSIGN(const std::string text, vmcore::read_file(folder + "/" + kReportName));
    TRY_ASSIGN(const report::TriageReport report, report::triage_from_json(text));
    const bool of_log_alone = !report.cpus.value;  // it has no stacks, and half a signature
    if (dump.empty() || !of_log_alone) {
      report::describe(manifest, report);
      return {};
    }
  } else if (dump.empty() && !is_there(folder, kLogName)) {
    return {};
  }
  TRY_ASSIGN(const report::TriageReport report, report_of(folder, dump));
  report::describe(manifest, report);
  return write(folder, kReportName, report::to_json(report));
}

}  // namespace

Result<> describe_crash(report::Manifest& manifest, const std::string& folder) {
  std::error_code no_log;
  std::filesystem::rename(folder + "/" + kReceivedLogName, folder + "/" + kLogName, no_log);
  const std::string dump = dump_in(folder);
  if (dump.empty() && manifest.reason.empty() && !no_log) {
    manifest.reason = "panic";  // a guest sends the log of nothing else
  }
  if (!dump.empty()) {
    TRY_ASSIGN(const TextResult text,
               read_file(folder + "/" + dump, sandbox::Operation::info, whole_budget().threads));
    TRY_ASSIGN(const report::InfoReport info, report::info_from_json(text.text));
    report::describe(manifest, info, dump);
  }
  remark(manifest, "the kernel log", add_log(folder, dump));
  remark(manifest, "the report", add_report(manifest, folder, dump));
  manifest.reason = manifest.reason.empty() ? "request" : manifest.reason;
  return {};
}

}  // namespace vmcore::job
