// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/report/crash_event.h"

#include <algorithm>
#include <array>

#include "src/report/json.h"

namespace vmcore::report {
namespace {

constexpr std::size_t kMaxDetails = 16U << 10;  // acquire::kMaxDetails
constexpr std::size_t kMaxTexts = 16;
constexpr std::array<std::string_view, 5> kPanics{"panicked", "panicked-runs", "reset-trapped",
                                                  "crash-loaded", "after-crash"};

Json guest_texts() { return Json::array({"details"}); }

CrashEvent event_from(const Json& document) {
  const Members json(document);
  expect_schema(json, CrashEvent::kSchema);
  const Members guest = json.object("guest");
  CrashEvent event;  // not in its initializer: gcc bug 66139, as in dump_file_json.cc
  event.kind = json.text("kind", kMaxName);
  event.time_us = json.number("time_us", INT64_MAX);
  event.guest = guest.text_or_empty("name");
  event.uuid = guest.text_or_empty("uuid", kMaxName);
  event.found = json.flag("found");
  event.details = json.text_or_empty("details", kMaxDetails);
  if (json.has("guest_text") && json.list("guest_text", kMaxTexts) != guest_texts()) {
    throw Misfit("\"guest_text\" does not name the texts that the guest wrote");
  }
  return event;
}

}  // namespace

std::string reason_of(const CrashEvent& event) {
  const bool is_panic = std::ranges::find(kPanics, event.kind) != kPanics.end();
  return is_panic ? "panic" : event.kind == "watchdog" ? "hang" : event.kind;
}

bool stops_guest(const CrashEvent& event) {
  return event.kind == "panicked" || event.kind == "reset-trapped";
}

std::string to_json(const CrashEvent& event) {
  return document_text({{"schema", CrashEvent::kSchema},
                        {"kind", cut(event.kind, kMaxName)},
                        {"time_us", event.time_us},
                        {"found", event.found},
                        {"guest",
                         {{"name", text_or_null(event.guest, kMaxText)},
                          {"uuid", text_or_null(event.uuid, kMaxName)}}},
                        {"details", text_or_null(event.details, kMaxDetails)},
                        {"guest_text", guest_texts()}});
}

Result<CrashEvent> event_from_json(std::string_view text) {
  return read<CrashEvent>(text, event_from);
}

}  // namespace vmcore::report
