// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/daemon/trap_look.h"

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <variant>

#include "src/report/job_event.h"

namespace vmcore::daemon {
namespace {

using Json = nlohmann::json;

std::string member(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

Result<job::KernelEnding> ending_from(const std::string& report) {
  const Json json = Json::parse(report, nullptr, false);
  if (!json.is_object()) {
    return fail(Errc::malformed, "the look has no report");
  }
  if (const auto error = json.find("error"); error != json.end() && error->is_object()) {
    return tl::unexpected(Error{errc_from_name(member(*error, "code")), member(*error, "text")});
  }
  const auto end = job::end_from_name(member(json, "end"));
  if (!end) {
    return fail(Errc::malformed, "the look has an unknown outcome");
  }
  const auto powers_off = json.find("powers_off");
  return job::KernelEnding{*end, member(json, "line"),
                           powers_off != json.end() && *powers_off == true};
}

}  // namespace

JobCommand look_command(LentGuest guest, bool ahead) {
  return {.words = {"look", "-q", "--ends-with-stdin"}, .guest = std::move(guest), .waits = ahead};
}

qmp::Wanted wanted_by_end(const Result<job::KernelEnding>& ending, const qmp::RunActions& before) {
  const bool off = ending ? ending->powers_off : before.shutdown == "pause";
  return off ? qmp::Wanted::shutdown : qmp::Wanted::reset;
}

void take_look_line(std::string_view line, TrapLook& look) {
  const auto event = report::job_event_from_line(line);
  if (!event) {
    return;
  }
  if (const auto* const happened = std::get_if<report::JobGuestEvent>(&*event)) {
    if (const auto kind = acquire::kind_named(happened->what)) {
      look.events.push_back({.kind = *kind,
                             .time = std::chrono::microseconds(happened->time_us),
                             .details = happened->details});
    }
  } else if (const auto* const ready = std::get_if<report::JobMemoryRead>(&*event)) {
    look.monitor_usable = ready->monitor.value_or(false);
    look.prepared = look.waits = true;
  } else if (const auto* const end = std::get_if<report::JobEnd>(&*event)) {
    look.ending = ending_from(end->report);
    look.monitor_usable = end->monitor.value_or(false);
    look.over = true;
  }
}

}  // namespace vmcore::daemon
