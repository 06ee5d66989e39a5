#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "src/cli/dump_options.h"
#include "src/cli/exit_code.h"
#include "src/cli/guest_options.h"
#include "src/cli/progress.h"
#include "src/cli/report_error.h"
#include "src/cli/verb.h"
#include "src/job/dump_job.h"
#include "src/job/interrupt.h"

namespace vmcore::cli {
namespace {

using acquire::Then;
using Json = nlohmann::ordered_json;

const std::map<std::string, Then> kThens{
    {"resume", Then::resume}, {"reset", Then::reset}, {"destroy", Then::destroy}};

const std::map<std::string, job::Consistency> kConsistencies{
    {"pause", job::Consistency::pause},
    {"torn", job::Consistency::torn},
    {"snapshot", job::Consistency::snapshot}};

struct Options {
  job::GuestDumpOptions job;
  GuestOptions guest;
  std::string method = std::string(acquire::kAutoMethod);
  std::string output;
  std::string spool;
  std::string then;
  std::string consistency = "pause";
  std::string pause_limit = "2s";
  bool all_crashed = false;
};

// "2s", "500ms", "1.5" (seconds), or "none".
std::optional<std::chrono::milliseconds> parse_pause(const std::string& text) {
  using std::chrono::milliseconds;
  if (text == "none") {
    return milliseconds(0);
  }
  double value = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  const std::string_view unit(rest, end);
  const bool known = unit.empty() || unit == "s" || unit == "ms";
  if (error != std::errc() || !known || !(value > 0) || value > 1e6) {
    return std::nullopt;
  }
  return milliseconds(std::max(1L, std::lround(unit == "ms" ? value : value * 1000)));
}

std::string milliseconds(acquire::Microseconds time) {
  return fmt::format("{:.1f}", static_cast<double>(time.count()) / 1000);
}

std::string then_text(const job::GuestReport& guest, const std::string& then) {
  if (guest.then_error) {
    return fmt::format(", {} FAILED", then);
  }
  return guest.then_done ? fmt::format(", then {}: done", then) : "";
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
  text += fmt::format("method        {}\n", guest.method);
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
  return fmt::format("open it with  crash /usr/lib/debug/boot/vmlinux-{} {}\n",
                     printable(dump.done.release), printable(dump.path.string()));
}

Json guest_json(const job::GuestReport& guest, const std::string& then) {
  Json json{
      {"name", guest.name},
      {"memory", guest.memory_size},
      {"state_before", guest.before.name},
      {"state_after", guest.after ? Json(guest.after->name) : Json()},
      {"as_found", guest.after == guest.before},
      {"method", guest.method},
      {"consistency", guest.consistency},
      {"host_memory", guest.host_memory ? Json(*guest.host_memory) : Json()},
      {"pause_ms", guest.pause ? Json(static_cast<double>(guest.pause->count()) / 1000) : Json()}};
  json["remarks"] = Json::array();
  for (const Remark& remark : guest.remarks) {
    json["remarks"].push_back({{"code", errc_name(remark.code)}, {"text", remark.text}});
  }
  if (!then.empty()) {
    json["then"] = {{"action", then}, {"done", guest.then_done}};
    if (guest.then_error) {
      json["then"]["error"] = guest.then_error->message;
    }
  }
  return json;
}

std::string result_text(const job::GuestDumpResult& result, const Options& options) {
  return describe_result(*result.dump, false) + describe_guest(*result.guest, options.then) +
         describe_handoff(*result.dump);
}

// Says what is wrong with the guest; it goes with whatever became of the dump.
void report_guest(const job::GuestReport& guest, const std::string& then) {
  std::string text;
  if (!guest.after) {
    text = fmt::format("it cannot be seen how the guest stands now (it was {})", guest.before.name);
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
std::FILE* messages_of(const Options& options) { return options.output == "-" ? stderr : stdout; }

int print_failure(const job::GuestDumpResult& result, const Options& options,
                  const Common& common) {
  const Error& error = result.dump.error();
  if (common.json) {
    Json json{{"error", {{"code", errc_name(error.code)}, {"text", error.message}}}};
    if (result.guest) {
      json["guest"] = guest_json(*result.guest, options.then);
    }
    fmt::print(messages_of(options), "{}\n",
               json.dump(2, ' ', true, Json::error_handler_t::replace));
  } else if (result.guest && !common.quiet) {
    std::fputs(describe_guest(*result.guest, options.then).c_str(), stderr);
  }
  const int code = report_error(error);
  return !result.guest && error.code == Errc::invalid ? kExitUsage : code;
}

void print_success(const job::GuestDumpResult& result, const Options& options,
                   const Common& common) {
  std::FILE* const to = messages_of(options);
  if (common.json) {
    const Json extra{{"guest", guest_json(*result.guest, options.then)}};
    const std::string text = extra.dump(-1, ' ', false, Json::error_handler_t::replace);
    std::fputs(result_json(*result.dump, false, text).c_str(), to);
  } else if (!common.quiet) {
    std::fputs(result_text(result, options).c_str(), to);
    print_remarks(result.guest->remarks);
    print_remarks(result.dump->done.remarks);
  }
}

int dump(Options& options, const Common& common, acquire::Selection guest) {
  options.job.guest = std::move(guest);
  options.job.guest.method = options.method;
  options.job.output = options.output;
  options.job.spool = options.spool;
  options.job.pause_limit = parse_pause(options.pause_limit).value();
  options.job.consistency = kConsistencies.at(options.consistency);
  options.job.guest.allow_taint = options.guest.allow_taint;
  options.job.then = options.then.empty() ? Then::nothing : kThens.at(options.then);
  job::Interrupt interrupt(kExitInterrupted);
  const job::GuestDumpResult result = [&] {
    ProgressLine progress(common.quiet);
    return job::dump_guest(options.job, interrupt, progress.callback());
  }();
  if (result.dump) {
    print_success(result, options, common);
  }
  const int code =
      result.dump ? exit_code_of(*result.dump) : print_failure(result, options, common);
  if (!result.guest) {
    return code;
  }
  report_guest(*result.guest, options.then);
  return result.guest->as_expected() ? code : kExitGuestChanged;
}

// What several dumps come to: the worst.
int worse(int one, int other) {
  constexpr std::array kWorstFirst{int{kExitInterrupted}, int{kExitGuestChanged}, int{kExitFailed},
                                   int{kExitNotAsAsked}, int{kExitDone}};
  const auto rank = [&](int code) { return std::ranges::find(kWorstFirst, code); };
  return std::min(rank(one), rank(other)) == rank(one) ? one : other;
}

int dump_all_crashed(Options& options, const Common& common) {
  const auto guests = job::crashed_guests(options.guest.uri);
  if (!guests) {
    return report_error(guests.error(), common);
  }
  if (guests->empty() && !common.quiet && !common.json) {
    std::puts("no domain has crashed");
  }
  int code = kExitDone;
  const char* before = "[\n";
  for (const acquire::Selection& guest : *guests) {
    if (common.json) {
      std::fputs(std::exchange(before, ",\n"), stdout);
    }
    code = worse(code, dump(options, common, guest));
    if (code == kExitInterrupted) {
      break;
    }
  }
  if (common.json) {
    std::puts(guests->empty() ? "[]" : "]");
  }
  return code;
}

int run(Options& options, const Common& common) {
  return options.all_crashed ? dump_all_crashed(options, common)
                             : dump(options, common, options.guest.selection());
}

}  // namespace

Run add_dump(CLI::App& command, const Common& common) {
  const auto options = std::make_shared<Options>();
  add_guest_options(command, options->guest, "DOMAIN", "A libvirt domain: name, UUID or id");
  command
      .add_option("--method", options->method,
                  "How memory is had; auto is the first of the others that can be used")
      ->check(CLI::IsMember(acquire::method_names()))
      ->capture_default_str();
  command.add_option("-o,--file", options->output,
                     "The dump to write; - is standard output; default DOMAIN-TIME.vmcore");
  add_dump_options(command, options->job.dump);
  command
      .add_option("--then", options->then,
                  "What is done with the guest afterwards, whether or not the dump succeeded")
      ->check(CLI::IsMember({"resume", "reset", "destroy"}));
  command
      .add_option("--consistency", options->consistency,
                  "pause: a running guest stands still while it is read; torn: it runs on, and the "
                  "dump shows no single moment (method direct); snapshot: it stands still for "
                  "milliseconds and runs on, and the dump shows that moment")
      ->check(CLI::IsMember({"pause", "torn", "snapshot"}))
      ->capture_default_str();
  command
      .add_option(
          "--pause-limit", options->pause_limit,
          "A running guest that would stand still for longer is not touched: 2s, 500ms, none")
      ->check([](const std::string& text) {
        return parse_pause(text) ? "" : "give a time such as 2s or 500ms, or none";
      })
      ->capture_default_str();
  add_allow_taint(command, options->guest);
  command.add_option("--spool", options->spool,
                     "A folder with room for the guest's RAM; default that of the output");
  CLI::Option* all = command.add_flag("--all-crashed", options->all_crashed,
                                      "Each domain whose guest panicked, into the current folder");
  for (const char* const one : {"DOMAIN", "--qmp", "--file"}) {
    all->excludes(command.get_option(one));
  }
  return [options, &common] { return run(*options, common); };
}

}  // namespace vmcore::cli
