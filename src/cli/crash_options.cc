#include "src/cli/crash_options.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <iostream>
#include <map>

#include "src/cli/dump_report.h"
#include "src/cli/progress.h"
#include "src/cli/receive_report.h"
#include "src/command/exit_code.h"
#include "src/command/report_error.h"
#include "src/job/crash_job.h"
#include "src/job/interrupt.h"

namespace vmcore::cli {
namespace {

using acquire::CrashBy;

const std::map<std::string, CrashBy> kWays{
    {"nmi", CrashBy::nmi}, {"sysrq", CrashBy::sysrq}, {"agent", CrashBy::agent}};

// Whoever sits at a terminal types the guest's name.
bool ask_for_name(const std::string& guest) {
  fmt::print(stderr,
             "This crashes the guest {}; what it has not saved is lost.\nType its name to go on: ",
             printable(guest));
  std::string answer;
  std::getline(std::cin, answer);
  return answer == guest;
}

// What the guest did not send, on standard error.
void tell_why_outside(const job::ReceiveResult& received) {
  const std::string why =
      received.dump ? fmt::format("only a part of its dump came ({})", received.dump->path.string())
                    : received.dump.error().message;
  fmt::print(stderr, "vmcorectl: {}\n",
             printable(received.report.name + ": " + why + "; it is dumped from outside"));
}

}  // namespace

void add_crash_options(CLI::App& command, CrashChoice& choice) {
  CLI::Option* by =
      command
          .add_option("--crash-guest", choice.by,
                      "Crash the guest, and take the dump that its own panic kernel sends: by an "
                      "NMI, by Alt+SysRq+C on its keyboard, or by its agent")
          ->check(CLI::IsMember({"nmi", "sysrq", "agent"}));
  command.add_flag("--yes", choice.yes, "Crash it without asking")->needs(by);
  command
      .add_option("--channel", choice.channel,
                  "The UNIX socket of its port org.vmcorectl.dump.0; of a domain it is known")
      ->needs(by);
  command
      .add_option("--wait", choice.wait,
                  "Seconds in which its panic kernel must begin to send; then it is dumped from "
                  "outside")
      ->needs(by)
      ->check(CLI::Range(1U, 86400U))
      ->capture_default_str();
}

int crash_and_tell(const CrashChoice& choice, const job::GuestDumpOptions& outside,
                   const Common& common) {
  const acquire::Selection& guest = outside.guest;
  if (!choice.yes && ::isatty(STDIN_FILENO) != 1) {
    std::fputs("vmcorectl: dump: --crash-guest asks at a terminal; in scripts, give --yes\n",
               stderr);
    return kExitUsage;
  }
  if (choice.channel.empty() && guest.domain.empty()) {
    std::fputs("vmcorectl: dump: with --qmp, --crash-guest needs --channel SOCKET as well\n",
               stderr);
    return kExitUsage;
  }
  job::CrashOptions options{
      .by = kWays.at(choice.by),
      .receive = {},
      .outside = outside,
      .unarmed_too = outside.dump.force,
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
    ProgressLine progress(common.quiet);
    return job::crash_and_receive(
        options, interrupt, [&](const job::ReceiveReport& report) { telling.tell(report); },
        progress.callback());
  }();
  if (!result) {
    return report_error(result.error(), common);
  }
  const bool to_stdout = outside.output == "-";
  if (!result->outside) {
    return tell_received(result->received, {false, to_stdout}, common);
  }
  tell_why_outside(result->received);
  const int code = tell_dump(*result->outside, {"", to_stdout}, common);
  if (!result->shows_no_crash) {
    return code;
  }
  fmt::print(stderr, "vmcorectl: {}\n",
             printable(result->received.report.name +
                       ": the dump from outside shows no crash: the guest did not crash, or has "
                       "booted again"));
  return code == kExitDone ? kExitNotAsAsked : code;
}

}  // namespace vmcore::cli
