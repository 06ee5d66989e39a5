#include "src/cli/dump_report.h"

#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "src/base/shell.h"
#include "src/cli/dump_options.h"
#include "src/command/exit_code.h"
#include "src/command/report_error.h"

namespace vmcore::cli {
namespace {

using Json = nlohmann::ordered_json;

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
    text += "now in a state that cannot be seen";
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
  if (dump.path.empty() || dump.done.release.empty()) {
    return "";
  }
  return fmt::format("open it with  {}\n",
                     shell_command({"crash", "/usr/lib/debug/boot/vmlinux-" + dump.done.release,
                                    dump.path.string()}));
}

Json then_json(const job::GuestDumpResult& result, const std::string& then) {
  const std::optional<job::GuestReport>& guest = result.guest;
  Json json{{"action", then}, {"done", guest && guest->then_done}};
  if (guest && guest->then_error) {
    json["error"] = guest->then_error->message;
  }
  if (result.withheld) {
    json["withheld"] = result.withheld->why;
    json["by_hand"] = result.withheld->by_hand;
  }
  return json;
}

Json guest_json(const job::GuestReport& guest) {
  Json json{
      {"name", guest.name},
      {"memory", guest.memory_size},
      {"state_before", guest.before.name},
      {"state_after", guest.after ? Json(guest.after->name) : Json()},
      {"as_found", guest.after == guest.before},
      {"method", acquire::method_name(guest.method)},
      {"consistency", guest.consistency},
      {"host_memory", guest.host_memory ? Json(*guest.host_memory) : Json()},
      {"pause_ms", guest.pause ? Json(static_cast<double>(guest.pause->count()) / 1000) : Json()}};
  json["remarks"] = Json::array();
  for (const Remark& remark : guest.remarks) {
    json["remarks"].push_back({{"code", errc_name(remark.code)}, {"text", remark.text}});
  }
  return json;
}

// What goes beside the dump's own members.
Json extra_json(const job::GuestDumpResult& result, const ToldDump& told) {
  Json json = Json::object();
  if (result.guest) {
    json["guest"] = guest_json(*result.guest);
  }
  if (!told.then.empty()) {
    (result.guest ? json["guest"] : json)["then"] = then_json(result, told.then);
  }
  return json;
}

std::string result_text(const job::GuestDumpResult& result, const ToldDump& told) {
  return describe_result(*result.dump, false) + describe_guest(*result.guest, told.then) +
         describe_handoff(*result.dump);
}

// Says what is wrong with the guest; it goes with whatever became of the dump.
void report_guest(const job::GuestReport& guest, const std::string& then) {
  std::string text;
  if (!guest.after) {
    text = fmt::format("it cannot be seen how the guest stands now (it was {}){}{}",
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
    Json json{{"error", {{"code", errc_name(error.code)}, {"text", error.message}}}};
    json.update(extra_json(result, told));
    fmt::print(messages_of(told), "{}\n", json.dump(2, ' ', true, Json::error_handler_t::replace));
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
    const std::string text =
        extra_json(result, told).dump(-1, ' ', false, Json::error_handler_t::replace);
    std::fputs(result_json(*result.dump, false, text).c_str(), to);
  } else if (!common.quiet) {
    std::fputs(result_text(result, told).c_str(), to);
    print_remarks(result.guest->remarks);
    print_remarks(result.dump->done.remarks);
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
  const int code = result.dump ? exit_code_of(*result.dump) : print_failure(result, told, common);
  report_withheld(result, told);
  if (!result.guest) {
    return code;
  }
  report_guest(*result.guest, told.then);
  return result.guest->as_expected() ? code : kExitGuestChanged;
}

}  // namespace vmcore::cli
