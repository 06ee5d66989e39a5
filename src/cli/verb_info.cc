// SPDX-License-Identifier: GPL-2.0-or-later
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <vector>

#include "src/base/units.h"
#include "src/base/utc.h"
#include "src/cli/dump_options.h"
#include "src/cli/guest_options.h"
#include "src/cli/self_check.h"
#include "src/cli/store.h"
#include "src/cli/verb.h"
#include "src/command/exit_code.h"
#include "src/command/report_error.h"
#include "src/job/interrupt.h"
#include "src/report/info.h"
#include "src/show/dump_text.h"
#include "src/show/info_text.h"
#include "src/show/text_line.h"

namespace vmcore::cli {
namespace {

// What the store knows of it, before what its dump says.
std::string describe_stored(const vault::OpenCrash& open) {
  const report::ListedCrash& crash = open.crash;
  std::string out;
  show::line(out, "crash", crash.id);
  show::line(out, "folder", fmt::format("{} ({})", open.path, human_size(crash.bytes)));
  if (const std::string flags = flags_of(crash); !flags.empty()) {
    show::line(out, "state", flags);
  }
  if (!crash.damage.empty()) {
    show::line(out, "damage", crash.damage);
  }
  if (const auto& policy = crash.state.policy) {
    show::line(out, "policy",
               policy->action + (policy->why.empty() ? "" : " (" + policy->why + ")") +
                   (policy->done ? ": done" : ": not done: " + policy->error));
  }
  if (!crash.manifest) {
    return out;
  }
  const report::Manifest& manifest = *crash.manifest;
  const std::string& witness = manifest.witness;
  show::line(out, "reason",
             manifest.reason + (witness.empty()       ? ""
                                : witness == "memory" ? " (the state of its kernel)"
                                                      : " (" + show::who_says_so(witness) + ")"));
  show::line(
      out, "stored",
      fmt::format("{} by {}", utc_text(static_cast<std::int64_t>(manifest.time)), manifest.tool));
  if (!manifest.signature.title.empty()) {
    show::line(out, "signature", manifest.signature.title);
  }
  if (!manifest.memory_left_out.empty()) {
    show::line(out, "memory", "not kept: " + manifest.memory_left_out);
  }
  if (manifest.self_check) {
    out += show::self_check_text(*manifest.self_check);
  }
  for (const report::StoredFile& file : manifest.files) {
    out += fmt::format("  {:<24}{:>12}  {}\n", printable(file.name), human_size(file.size),
                       file.sha256);
  }
  // With a dump that is read they are among its own.
  for (const Remark& remark : manifest.dump ? std::vector<Remark>() : manifest.remarks) {
    show::line(out, remark_label(remark), remark.text);
  }
  return out;
}

// Who may read no more than the manifest gets that.
int tell_crash(const vault::OpenCrash& open, const Common& common) {
  const auto text = read_crash(open, sandbox::Operation::info);
  std::optional<report::InfoReport> info;
  std::optional<Error> error;
  if (text) {
    auto read = report::info_from_json(text->text);
    if (!read) {
      return report_error(in_context(read.error(), "vmcore-worker's answer").value(), common);
    }
    info = *std::move(read);
  } else if (open.crash.manifest && open.crash.manifest->dump) {
    error = text.error();
  }
  std::fputs((common.json ? report::to_json(open.crash, info)
                          : describe_stored(open) + (info ? show::info_text(*info) : ""))
                 .c_str(),
             stdout);
  if (error) {
    print_remarks({{error->code, error->message}});
  }
  return error || !open.crash.damage.empty() ? kExitNotAsAsked : kExitDone;
}

int run(const GuestOptions& source, const Common& common) {
  const auto crash = find_crash(source);
  if (!crash) {
    return report_error(crash.error(), common);
  }
  if (*crash && !source.pause) {
    return tell_crash(**crash, common);
  }
  job::Interrupt interrupt(kExitInterrupted);
  const job::PausedText read = read_source(source, sandbox::Operation::info, interrupt);
  const Result<job::TextResult>& result = read.text;
  if (!result) {
    return report_pause(read, report_error(result.error(), common), common);
  }
  const Result<report::InfoReport> info = report::info_from_json(result->text);
  if (!info) {
    return report_pause(
        read, report_error(in_context(info.error(), "vmcore-worker's answer").value(), common),
        common);
  }
  std::fputs((common.json ? report::to_json(*info) : show::info_text(*info)).c_str(), stdout);
  return report_pause(read, kExitDone, common);
}

}  // namespace

Run add_info(CLI::App& command, const Common& common) {
  const auto source = std::make_shared<GuestOptions>();
  add_source_options(command, *source);
  return [source, &common] { return run(*source, common); };
}

}  // namespace vmcore::cli
