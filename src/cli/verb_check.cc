// SPDX-License-Identifier: GPL-2.0-or-later
#include <cstdio>
#include <map>
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
  std::string folder;
  std::string fail_on = "fail";
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
  Printer(const Common& common, const Options& options)
      : common_(common), fails_at_(options.fail_on == "warn" ? Verdict::warn : Verdict::fail) {}

  void print(report::CheckReport report) {
    for (const Finding& finding : report.findings) {
      ++counts_[finding.verdict];
      failed_ = failed_ || finding.verdict >= fails_at_;
    }
    if (common_.json) {
      reports_.push_back(std::move(report));
      return;
    }
    for (const Finding& finding : report.findings) {
      if (!common_.quiet || finding.verdict != Verdict::pass) {
        print_line(report.guest.empty() ? "host" : report.guest, finding);
      }
    }
    std::fflush(stdout);
  }

  int finish() {
    if (common_.json) {
      std::fputs(report::to_json(reports_).c_str(), stdout);
    } else if (!common_.quiet) {
      fmt::print("{} PASS, {} NOTE, {} WARN, {} FAIL\n", counts_[Verdict::pass],
                 counts_[Verdict::note], counts_[Verdict::warn], counts_[Verdict::fail]);
    }
    return failed_ ? kExitFailed : kExitDone;
  }

 private:
  const Common& common_;
  Verdict fails_at_;
  std::map<Verdict, std::size_t> counts_;
  std::vector<report::CheckReport> reports_;
  bool failed_ = false;
};

// The guests that are named, or all domains.
Result<std::vector<acquire::Selection>> chosen(const Options& options) {
  if (options.all) {
    return check::all_guests(options.guest.uri);
  }
  std::vector<acquire::Selection> guests;
  GuestOptions one = options.guest;
  for (const std::string& domain : options.guest.domains) {
    one.domain = domain;
    guests.push_back(one.selection());
  }
  return guests;
}

void check_one(const acquire::Selection& guest, const Options& options, const ArmedGuests& armed,
               Printer& printer) {
  report::CheckReport report =
      check::check_guest(guest, options.folder.empty() ? "." : options.folder, options.all);
  if (report.findings.size() > 1) {  // else it was not found
    report.findings.push_back(armed.judge(guest, report.guest));
  }
  printer.print(std::move(report));
}

int check(const Options& options, const Common& common) {
  Printer printer(common, options);
  const auto guests = chosen(options);
  if (!guests) {
    return report_error(guests.error(), common);
  }
  const ArmedGuests armed(options.guest.control);
  for (const acquire::Selection& guest : *guests) {
    check_one(guest, options, armed, printer);
  }
  return printer.finish();
}

int check_socket(const Options& options, const Common& common) {
  std::optional<Loan> loan;
  const auto guest = reach_guest(options.guest, loan);
  if (!guest) {
    return report_error(guest.error(), common);
  }
  Printer printer(common, options);
  check_one(*guest, options, ArmedGuests(options.guest.control), printer);
  return printer.finish();
}

int check_host(const Options& options, const Common& common) {
  Printer printer(common, options);
  printer.print(check::check_host(options.guest.uri));
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

void tell_fix(const check::PreparedDomain& domain, const Options& options, const Common& common) {
  if (common.json) {
    const report::FixReport report{.guest = domain.guest,
                                   .changed = !domain.saved.empty(),
                                   .would_change = options.dry_run && !domain.diff.empty(),
                                   .running = domain.running,
                                   .diff = domain.diff,
                                   .saved = domain.saved.string()};
    std::fputs(report::to_json(report).c_str(), stdout);
  } else if (!common.quiet) {
    fmt::print("{}{}: {}\n", printable_lines(domain.diff), printable(domain.guest),
               printable(next_step(domain, options.dry_run)));
  }
}

// Of all domains, those that are not ours to change are left out.
int tell_skipped(const std::string& guest, const Error& why, const Common& common) {
  if (common.json) {
    std::fputs(report::to_json(report::FixReport{.guest = guest, .skipped = why.message}).c_str(),
               stdout);
  } else if (!common.quiet) {
    fmt::print("{}: left as it is: {}\n", printable(guest), printable(why.message));
  }
  return kExitDone;
}

int fix_one(const acquire::Selection& guest, const Options& options, const Common& common) {
  const auto domain = check::prepare_domain(guest, options.folder, options.dry_run);
  if (domain) {
    tell_fix(*domain, options, common);
    return options.dry_run && !domain->diff.empty() ? kExitNotAsAsked : kExitDone;
  }
  return options.all && domain.error().code == Errc::unsupported
             ? tell_skipped(guest.domain, domain.error(), common)
             : report_error(domain.error(), common);
}

// JSON is one document for one domain, and a list where several may have been meant.
int fix(const Options& options, const Common& common) {
  const auto guests = chosen(options);
  if (!guests) {
    return report_error(guests.error(), common);
  }
  const bool is_list = common.json && (options.all || guests->size() > 1);
  int code = kExitDone;
  const char* before = "[\n";
  for (const acquire::Selection& guest : *guests) {
    if (is_list) {
      std::fputs(std::exchange(before, ",\n"), stdout);
    }
    code = worse_exit(code, fix_one(guest, options, common));
  }
  if (is_list) {
    std::puts(guests->empty() ? "[]" : "]");
  }
  return code;
}

int run(const Options& options, const Common& common) {
  const job::Interrupt interrupt(kExitInterrupted);
  if (options.fix) {
    return fix(options, common);
  }
  if (!options.guest.socket.empty()) {
    return check_socket(options, common);
  }
  return options.all || !options.guest.domains.empty() ? check(options, common)
                                                       : check_host(options, common);
}

// CLI11 reports by exception.
void check_usage(const Options& options) {
  const bool domains = !options.guest.domains.empty();
  const bool socket = !options.guest.socket.empty();
  if (domains + socket + options.all > 1) {
    throw CLI::ValidationError("DOMAIN", "give DOMAINs, --qmp SOCKET or --all");
  }
  if (options.fix && !domains && !options.all) {
    throw CLI::ValidationError("--fix", "give DOMAINs to change, or --all");
  }
}

}  // namespace

Run add_check(CLI::App& command, const Common& common) {
  const auto options = std::make_shared<Options>();
  add_guests_options(command, options->guest,
                     "Libvirt domains: name, UUID or id; without one, the host is checked");
  command.add_flag("--all", options->all, "Every domain, by name, also those that are shut off");
  CLI::Option* fix =
      command.add_flag("--fix", options->fix,
                       "Add vmcoreinfo, a channel for receive, a panic device and "
                       "on_crash preserve to the persistent definition of each DOMAIN");
  command
      .add_flag("--dry-run", options->dry_run,
                "Print what --fix would change, and change nothing; exit status 3 if it would")
      ->needs(fix);
  command
      .add_option("--folder", options->folder,
                  "The folder in which a dump would be written (default: the current one); of "
                  "--fix, the one for old definitions")
      ->check(CLI::ExistingDirectory);
  command
      .add_option("--fail-on", options->fail_on,
                  "The exit status is 1 if a check comes to this, or worse")
      ->check(CLI::IsMember({"fail", "warn"}))
      ->capture_default_str()
      ->excludes(fix);
  command.parse_complete_callback([options] { check_usage(*options); });
  return [options, &common] { return run(*options, common); };
}

}  // namespace vmcore::cli
