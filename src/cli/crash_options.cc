// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/cli/crash_options.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <map>
#include <utility>

#include "src/cli/audit_trail.h"
#include "src/cli/dump_report.h"
#include "src/cli/progress.h"
#include "src/cli/receive_report.h"
#include "src/command/exit_code.h"
#include "src/command/report_error.h"
#include "src/job/crash_job.h"
#include "src/job/interrupt.h"
#include "src/job/output.h"

namespace vmcore::cli {
namespace {

using acquire::CrashBy;

const std::map<std::string, CrashBy> kWays{
    {"nmi", CrashBy::nmi}, {"sysrq", CrashBy::sysrq}, {"agent", CrashBy::agent}};

// Whoever sits at a terminal types the guest's name.
bool ask_for_name(const std::string& guest) {
  fmt::print(stderr,
             "This crashes the guest {}; what it has not saved is lost.\nType the guest's name to "
             "continue: ",
             printable(guest));
  std::string answer;
  std::getline(std::cin, answer);
  return answer == guest;
}

// What a guest needs to be crashed that way: most distributions have neither of the first two.
const char* what_it_needs(CrashBy by) {
  switch (by) {
    case CrashBy::nmi:
      return "an NMI crashes a guest only with kernel.unknown_nmi_panic=1 (in the guest: "
             "vmcore-guest setup --panic-on nmi)";
    case CrashBy::sysrq:
      return "Alt+SysRq+C crashes a guest only with kernel.sysrq=1, or a mask that includes 8";
    case CrashBy::agent:
      return "a policy of the guest may forbid its agent to write to /proc/sysrq-trigger";
  }
  return "";
}

// What the guest did not send, on standard error.
void tell_why_outside(const job::ReceiveResult& received) {
  const std::string why = received.dump ? fmt::format("only a part of its dump arrived ({})",
                                                      received.dump->path.string())
                                        : received.dump.error().message;
  fmt::print(stderr, "vmcorectl: {}\n",
             printable(received.report.name + ": " + why + "; the guest is dumped from outside"));
}

// It was crashed: what is told of that, and the exit code.
int tell_crash(const job::CrashResult& result, CrashBy by, bool to_stdout, const Common& common) {
  if (!result.outside) {
    return tell_received(result.received, {to_stdout}, common);
  }
  tell_why_outside(result.received);
  const int code = tell_dump(*result.outside, {"", to_stdout}, common);
  if (!result.shows_no_crash) {
    return code;
  }
  fmt::print(stderr, "vmcorectl: {}\n",
             printable(fmt::format("{}: the dump from outside shows no crash: the guest did not "
                                   "crash, or has booted again; {}",
                                   result.received.report.name, what_it_needs(by))));
  return code == kExitDone ? kExitNotAsAsked : code;
}

}  // namespace

void add_crash_options(CLI::App& command, CrashChoice& choice) {
  CLI::Option* by =
      command
          .add_option("--crash-guest", choice.by,
                      "Crash the guest and receive the dump that its own capture kernel sends: "
                      "with an NMI, with Alt+SysRq+C on its keyboard, or with its agent")
          ->check(CLI::IsMember({"nmi", "sysrq", "agent"}));
  command.add_flag("--yes", choice.yes, "Crash the guest without asking")->needs(by);
  command
      .add_option(
          "--channel", choice.channel,
          "The UNIX socket of the guest's port org.vmcorectl.dump.0; not needed for a domain")
      ->needs(by);
  command
      .add_option("--wait", choice.wait,
                  "Seconds to wait until the capture kernel begins to send; then the guest is "
                  "dumped from outside")
      ->needs(by)
      ->check(CLI::Range(1U, 86400U))
      ->capture_default_str();
}

int crash_and_tell(const CrashChoice& choice, job::GuestDumpOptions outside, const Common& common) {
  const acquire::Selection& guest = outside.guest;
  if (!choice.yes && ::isatty(STDIN_FILENO) != 1) {
    std::fputs(
        "vmcorectl: dump: --crash-guest asks on a terminal, and standard input is none: give "
        "--yes\n",
        stderr);
    return kExitUsage;
  }
  if (choice.channel.empty() && guest.domain.empty() && !outside.dump.force) {
    std::fputs(
        "vmcorectl: dump: with --qmp, --crash-guest needs --channel SOCKET; or give --force to "
        "crash a guest without a channel and dump it from outside\n",
        stderr);
    return kExitUsage;
  }
  std::error_code ignored;
  if (outside.output.has_filename() && !job::is_stream(outside.output) &&
      std::filesystem::exists(outside.output, ignored)) {
    return report_error(
        {Errc::exists,
         fmt::format("{} already exists, and --crash-guest replaces no file: give another name",
                     outside.output.string())},
        common);
  }
  // --force is about the guest here: what is risked with it is no file as well.
  const bool unarmed_too = std::exchange(outside.dump.force, false);
  job::CrashOptions options{
      .by = kWays.at(choice.by),
      .receive = {},
      .outside = outside,
      .unarmed_too = unarmed_too,
      .confirm = choice.yes ? [](const std::string&) { return true; } : ask_for_name};
  options.receive.from = choice.channel.empty() ? guest.domain : choice.channel;
  options.receive.guest = guest;
  options.receive.dump = outside.dump;
  options.receive.output = outside.output;
  options.receive.spool = outside.spool;
  options.receive.wait = std::chrono::seconds(choice.wait);
  job::Interrupt interrupt(kExitInterrupted);
  ReceiveTelling telling(common.quiet);
  const auto result = [&] {
    ProgressLine progress(common.quiet, "received");
    return job::crash_and_receive(
        options, interrupt, [&](const job::ReceiveReport& report) { telling.tell(report); },
        progress.callback());
  }();
  audit_crash(result, guest, choice.by);
  if (!result) {
    return report_error(result.error(), common);
  }
  const int code = tell_crash(*result, options.by, outside.output == "-", common);
  if (code != kExitFailed && code != kExitInterrupted) {
    return code;
  }
  fmt::print(stderr, "vmcorectl: {}\n",
             printable(fmt::format("{}: the guest was told to crash, and no dump was kept; to dump "
                                   "its memory as it is now: {}",
                                   result->received.report.name, job::dump_command(guest))));
  return kExitGuestChanged;
}

}  // namespace vmcore::cli
