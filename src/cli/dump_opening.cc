// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/cli/dump_opening.h"

#include <cstdlib>
#include <optional>
#include <utility>

#include "src/job/budget.h"
#include "src/job/read_job.h"
#include "src/show/debuginfo_text.h"

namespace vmcore::cli {
namespace {

Result<report::InfoReport> info_of(const std::string& path) {
  TRY_ASSIGN(const job::TextResult text,
             job::read_file(path, sandbox::Operation::info, job::whole_budget().threads));
  return report::info_from_json(text.text);
}

Result<report::TriageReport> report_of(const std::string& path) {
  TRY_ASSIGN(const job::TextResult text,
             job::read_file(path, sandbox::Operation::report, job::whole_budget().threads));
  return report::triage_from_json(text.text);
}

}  // namespace

Result<DumpToOpen> dump_to_open(const std::string& path, const DebuginfoOptions& options,
                                bool quiet, std::string& release) {
  TRY_ASSIGN(report::InfoReport info, info_of(path));
  TRY_ASSIGN(const report::TriageReport triage, report_of(path));
  // Not Errc::not_found, which means that symbols are not there.
  const auto kernel = wanted_kernel(triage, info);
  if (!kernel) {
    return fail(Errc::malformed, "{}: {}", path, kernel.error().message);
  }
  release = kernel->release;
  TRY_ASSIGN(report::DebuginfoReport found, find_debuginfo(*kernel, options, quiet));
  TRY(check_vmlinux(found));
  return DumpToOpen{path, std::move(info), std::move(found)};
}

Result<> check_vmlinux(const report::DebuginfoReport& found) {
  const auto& refused = found.refused;
  return found.vmlinux
             ? Result<>()
             : fail(Errc::not_found,
                    "no vmlinux of {} is found: {}{} (vmcorectl debuginfo tells all)",
                    found.release, found.advice ? show::advice_line(*found.advice) : "",
                    refused.empty() ? "" : "; " + refused.front().path + " " + refused.front().why);
}

Analyzers::Analyzers(std::vector<std::string> names) : names_(std::move(names)) {
  const char* const path = std::getenv("PATH");
  for (const std::string& name : names_) {
    for (Analyzer& each : installed_analyzers(name, path == nullptr ? "" : path)) {
      all_.push_back(std::move(each));
    }
  }
}

Result<Analyzer> Analyzers::newest() const {
  return all_.empty() ? Result<Analyzer>(fail(Errc::unsupported, "{} is not installed",
                                              fmt::join(names_, " or ")))
                      : all_.front();
}

Result<Opening> Analyzers::open(const DumpToOpen& dump, const std::string& script,
                                const std::vector<std::string>& more) const {
  std::optional<Opening> doubted;
  Error error{Errc::unsupported, fmt::format("{} is not installed", fmt::join(names_, " or "))};
  for (const Analyzer& analyzer : all_) {
    auto opening = opening_of(analyzer, dump, script, more);
    if (opening && opening->remarks.empty()) {
      return opening;
    }
    if (opening && !doubted) {
      doubted = *std::move(opening);
    } else if (!opening) {
      error = opening.error();
    }
  }
  return doubted ? Result<Opening>(*std::move(doubted)) : tl::unexpected(std::move(error));
}

}  // namespace vmcore::cli
