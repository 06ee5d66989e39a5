// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/cli/dump_report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "src/base/shell.h"
#include "src/base/units.h"
#include "src/cli/dump_options.h"
#include "src/cli/self_check.h"
#include "src/command/exit_code.h"
#include "src/command/report_error.h"
#include "src/job/reports.h"
#include "src/show/dump_text.h"

namespace vmcore::cli {
namespace {

std::string milliseconds(acquire::Microseconds time) {
  return fmt::format("{:.1f}", static_cast<double>(time.count()) / 1000);
}

std::string then_text(const job::GuestReport& guest, const std::string& then) {
  if (guest.then_error) {
    return fmt::format(", {} FAILED", then);
  }
  return guest.then_done ? fmt::format(", then {}: done", then)
         : then.empty()  ? ""
                         : fmt::format(", NOT {}", then);
}

std::string describe_guest(const job::GuestReport& guest, const std::string& then) {
  std::string text = fmt::format("guest         {}: found {}, ", printable(guest.name),
                                 printable(guest.before.name));
  if (!guest.after) {
    text += "now in an unknown state";
  } else if (*guest.after == guest.before) {
    text += "left as it was";
  } else {
    text += "NOW " + printable(guest.after->name);
  }
  text += then_text(guest, then) + "\n";
  text += fmt::format("method        {}\n", acquire::method_name(guest.method));
  if (guest.pause) {
    text += guest.before.running ? fmt::format("pause         {} ms\n", milliseconds(*guest.pause))
                                 : "pause         0 ms (was not running)\n";
  }
  if (guest.host_memory) {
    text += fmt::format("host memory   {}{}\n", *guest.host_memory < 0 ? "-" : "+",
                        human_size(static_cast<std::uint64_t>(std::abs(*guest.host_memory))));
  }
  return text;
}

std::string describe_handoff(const job::DumpResult& dump) {
  if (dump.path.empty() || dump.summary.release.empty()) {
    return "";
  }
  return fmt::format("open it with  {}\n",
                     shell_command({"vmcorectl", "debug", dump.path.string()}));
}

std::string result_text(const job::GuestDumpResult& result, const ToldDump& told) {
  return show::dump_text(job::dump_file(*result.dump)) + describe_guest(*result.guest, told.then) +
         (told.self_check ? show::self_check_text(*told.self_check) : "") +
         describe_handoff(*result.dump);
}

std::string document(const job::GuestDumpResult& result, const ToldDump& told) {
  report::DumpReport report = job::report_of(result, told.then);
  report.kept = told.kept;
  report.self_check = told.self_check;
  return report::to_json(report);
}

// Says what is wrong with the guest; it goes with whatever became of the dump.
void report_guest(const job::GuestReport& guest, const std::string& then) {
  std::string text;
  if (!guest.after) {
    text = fmt::format("the present state of the guest is not known (it was {}){}{}",
                       guest.before.name, guest.why_unseen.empty() ? "" : ": ", guest.why_unseen);
  } else if (*guest.after != guest.before) {
    text = fmt::format("the guest was {} and is now {}", guest.before.name, guest.after->name);
  }
  if (guest.then_error) {
    text +=
        fmt::format("{}--then {}: {}", text.empty() ? "" : "; ", then, guest.then_error->message);
  }
  if (!text.empty()) {
    fmt::print(stderr, "vmcorectl: {}\n", printable(guest.name + ": " + text));
  }
}

// Standard output may be the dump itself: what is said about it goes beside.
std::FILE* messages_of(const ToldDump& told) { return told.to_stdout ? stderr : stdout; }

int print_failure(const job::GuestDumpResult& result, const ToldDump& told, const Common& common) {
  const Error& error = result.dump.error();
  if (common.json) {
    std::fputs(document(result, told).c_str(), messages_of(told));
  } else if (result.guest && !common.quiet) {
    std::fputs(describe_guest(*result.guest, told.then).c_str(), stderr);
  }
  const int code = report_error(error);
  return !result.guest && error.code == Errc::invalid ? kExitUsage : code;
}

void print_success(const job::GuestDumpResult& result, const ToldDump& told, const Common& common) {
  std::FILE* const to = messages_of(told);
  common.kept = !result.dump->path.empty();
  if (common.json) {
    std::fputs(document(result, told).c_str(), to);
  } else if (!common.quiet) {
    std::fputs(result_text(result, told).c_str(), to);
    print_remarks(result.guest->remarks);
    print_remarks(result.dump->summary.remarks);
  }
}

// It stands where the eye is when all is over, with --quiet too: somebody waits for that guest.
void report_withheld(const job::GuestDumpResult& result, const ToldDump& told) {
  if (result.withheld) {
    fmt::print(stderr, "vmcorectl: {}\n",
               printable(fmt::format("--then {} was not carried out: {}. By hand: {}", told.then,
                                     result.withheld->why, result.withheld->by_hand)));
  }
}

}  // namespace

int tell_dump(const job::GuestDumpResult& result, const ToldDump& told, const Common& common) {
  if (result.dump) {
    print_success(result, told, common);
  }
  const int written =
      result.dump ? exit_code_of(*result.dump) : print_failure(result, told, common);
  const int code = told.self_check && !told.self_check->passed()
                       ? std::max<int>(written, kExitNotAsAsked)
                       : written;
  report_withheld(result, told);
  if (!result.guest) {
    return code;
  }
  report_guest(*result.guest, told.then);
  return result.guest->as_expected() ? code : kExitGuestChanged;
}

}  // namespace vmcore::cli
