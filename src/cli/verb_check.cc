// SPDX-License-Identifier: GPL-2.0-or-later
#include <cstdio>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "src/check/check_guest.h"
#include "src/check/check_host.h"
#include "src/check/prepare_domain.h"
#include "src/cli/armed_guests.h"
#include "src/cli/guest_options.h"
#include "src/cli/verb.h"
#include "src/command/exit_code.h"
#include "src/command/report_error.h"
#include "src/job/interrupt.h"
#include "src/report/check.h"

namespace vmcore::cli {
namespace {

struct Options {
  GuestOptions guest;
  std::string folder = ".";
  bool all = false;
  bool fix = false;
  bool dry_run = false;
};

void print_line(const std::string& guest, const Finding& finding) {
  fmt::print("{}: Checking {:<48}: {}\n", printable(guest), printable(finding.title),
             printable(verdict_text(finding)));
}

// Prints reports as they come; JSON at the end, for it is one list.
class Printer {
 public:
  explicit Printer(const Common& common) : common_(common) {}

  void print(report::CheckReport report) {
    failed_ = failed_ || report.failed();
    if (common_.json) {
      reports_.push_back(std::move(report));
      return;
    }
    for (const Finding& finding : report.findings) {
      if (!common_.quiet || finding.verdict == Verdict::fail) {
        print_line(report.guest.empty() ? "host" : report.guest, finding);
      }
    }
    std::fflush(stdout);
  }

  int finish() const {
    if (common_.json) {
      std::fputs(report::to_json(reports_).c_str(), stdout);
    }
    return failed_ ? kExitFailed : kExitDone;
  }

 private:
  const Common& common_;
  std::vector<report::CheckReport> reports_;
  bool failed_ = false;
};

report::CheckReport check_one(const acquire::Selection& guest, const Options& options,
                              const ArmedGuests& armed) {
  report::CheckReport report = check::check_guest(guest, options.folder);
  if (report.findings.size() > 1) {  // else it was not found
    report.findings.push_back(armed.judge(guest, report.guest));
  }
  return report;
}

int check_all(const Options& options, const Common& common) {
  const auto guests = check::running_guests(options.guest.uri);
  if (!guests) {
    return report_error(guests.error(), common);
  }
  Printer printer(common);
  const ArmedGuests armed(options.guest.control);
  for (const acquire::Selection& guest : *guests) {
    printer.print(check_one(guest, options, armed));
  }
  return printer.finish();
}

// What is to be done now.
std::string next_step(const check::PreparedDomain& domain, bool dry_run) {
  if (domain.diff.empty()) {
    return "nothing to do: the definition already has everything that --fix adds";
  }
  if (dry_run) {
    return "nothing was changed (--dry-run)";
  }
  return fmt::format("changed; the old definition is {}. {}", domain.saved.string(),
                     domain.running ? fmt::format("It takes effect when the guest is stopped and "
                                                  "started ({}, then {}), not when it reboots",
                                                  domain.stop, domain.start)
                                    : "It takes effect when the guest is started");
}

int fix(const Options& options, const Common& common) {
  const auto domain = check::prepare_domain(options.guest.selection(), ".", options.dry_run);
  if (!domain) {
    return report_error(domain.error(), common);
  }
  if (common.json) {
    const report::FixReport report{.guest = domain->guest,
                                   .changed = !domain->saved.empty(),
                                   .diff = domain->diff,
                                   .saved = domain->saved.string()};
    std::fputs(report::to_json(report).c_str(), stdout);
  } else if (!common.quiet) {
    fmt::print("{}{}: {}\n", printable_lines(domain->diff), printable(domain->guest),
               printable(next_step(*domain, options.dry_run)));
  }
  return kExitDone;
}

int run(const Options& options, const Common& common) {
  const job::Interrupt interrupt(kExitInterrupted);
  if (options.fix) {
    return fix(options, common);
  }
  if (options.all) {
    return check_all(options, common);
  }
  Printer printer(common);
  if (options.guest.domain.empty() && options.guest.socket.empty()) {
    printer.print(check::check_host(options.guest.uri));
    return printer.finish();
  }
  std::optional<Loan> loan;
  const auto guest = reach_guest(options.guest, loan);
  if (!guest) {
    return report_error(guest.error(), common);
  }
  printer.print(check_one(*guest, options, ArmedGuests(options.guest.control)));
  return printer.finish();
}

// CLI11 reports by exception.
void check_usage(const Options& options) {
  const bool domain = !options.guest.domain.empty();
  const bool socket = !options.guest.socket.empty();
  if (domain + socket + options.all > 1) {
    throw CLI::ValidationError("DOMAIN", "give a DOMAIN, --qmp SOCKET or --all");
  }
  if (options.fix && !domain) {
    throw CLI::ValidationError("--fix", "give a DOMAIN to change");
  }
}

}  // namespace

Run add_check(CLI::App& command, const Common& common) {
  const auto options = std::make_shared<Options>();
  add_guest_options(command, options->guest, "DOMAIN",
                    "A libvirt domain: name, UUID or id; without one, the host is checked");
  command.add_flag("--all", options->all, "Check every running domain");
  CLI::Option* fix = command.add_flag("--fix", options->fix,
                                      "Add vmcoreinfo, a channel for receive, a panic device and "
                                      "on_crash preserve to the persistent definition of DOMAIN");
  command
      .add_flag("--dry-run", options->dry_run, "Print what --fix would change, and change nothing")
      ->needs(fix);
  command.add_option("--folder", options->folder, "The folder in which a dump would be written")
      ->check(CLI::ExistingDirectory)
      ->capture_default_str();
  command.parse_complete_callback([options] { check_usage(*options); });
  return [options, &common] { return run(*options, common); };
}

}  // namespace vmcore::cli
