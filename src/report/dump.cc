// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/report/dump.h"

#include "src/report/capture_json.h"
#include "src/report/dump_file_json.h"
#include "src/report/json.h"
#include "src/report/self_check_json.h"

namespace vmcore::report {
namespace {

// A value that is not known is null if version 1 always had the member, and is left out otherwise.
Json guest_json(const DumpedGuest& guest) {
  Json json = Json::object();
  add_identity(json, guest.identity);
  json["memory"] = guest.memory;
  json["state_before"] = cut(guest.state_before, kMaxName);
  json["state_after"] = text_or_null(guest.state_after, kMaxName);
  json["as_found"] = guest.as_found;
  json["method"] = guest.method;
  json["consistency"] = guest.consistency;
  json["host_memory"] = Json();
  json["pause_ms"] = Json();
  add_cost(json, guest.cost);
  json["remarks"] = remarks_json(guest.remarks);
  return json;
}

DumpedGuest guest_from(const Members& json) {
  return {.identity = identity_from(json),
          .memory = json.number("memory"),
          .state_before = json.text("state_before", kMaxName),
          .state_after = json.text_or_empty("state_after", kMaxName),
          .as_found = json.flag("as_found"),
          .method = json.text("method", kMaxName),
          .consistency = json.text("consistency", kMaxName),
          .cost = cost_from(json),
          .remarks = remarks_from(json.list("remarks", kMaxRemarks + 1))};
}

Json then_json(const ThenOutcome& then) {
  Json json{{"action", then.action}, {"done", then.done}};
  if (!then.error.empty()) {
    json["error"] = cut(then.error, kMaxPath);
  }
  if (!then.withheld.empty()) {
    json["withheld"] = cut(then.withheld, kMaxPath);
    json["by_hand"] = cut(then.by_hand, kMaxPath);
  }
  return json;
}

ThenOutcome then_from(const Members& json) {
  return {.action = json.text("action", kMaxName),
          .done = json.flag("done"),
          .error = json.text_or_empty("error", kMaxPath),
          .withheld = json.text_or_empty("withheld", kMaxPath),
          .by_hand = json.text_or_empty("by_hand", kMaxPath)};
}

DumpReport report_from(const Json& document) {
  const Members json(document);
  expect_schema(json, DumpReport::kSchema);
  DumpReport report{.dump = dump_file_from(json)};
  if (json.has("guest")) {
    const Members guest = json.object("guest");
    report.guest = guest_from(guest);
    if (guest.has("then")) {
      report.then = then_from(guest.object("then"));
    }
  }
  if (json.has("then")) {
    report.then = then_from(json.object("then"));
  }
  report.kept = json.text_or_empty("kept", kMaxName);
  report.memory = json.text_or_empty("memory");
  if (json.has("self_check")) {
    report.self_check = self_check_from(json.object("self_check"));
  }
  return report;
}

}  // namespace

std::string to_json(const DumpReport& report) {
  Json json{{"schema", DumpReport::kSchema}};
  add_dump(json, report.dump);
  if (report.guest) {
    json["guest"] = guest_json(*report.guest);
  }
  if (report.then) {
    (report.guest ? json["guest"] : json)["then"] = then_json(*report.then);
  }
  if (!report.kept.empty()) {
    json["kept"] = cut(report.kept, kMaxName);
  }
  if (!report.memory.empty()) {
    json["memory"] = cut(report.memory, kMaxText);
  }
  if (report.self_check) {
    json["self_check"] = self_check_json(*report.self_check);
  }
  return document_text(json);
}

Result<DumpReport> dump_from_json(std::string_view text) {
  return read<DumpReport>(text, report_from);
}

}  // namespace vmcore::report
