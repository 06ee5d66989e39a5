// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/report/job_event.h"

#include "src/report/json.h"
#include "src/report/signature_json.h"

namespace vmcore::report {
namespace {

constexpr int kMaxExitCode = 255;

Json begin(const char* event) { return Json{{"schema", kJobSchema}, {"event", event}}; }

void add_monitor(Json& json, std::optional<bool> monitor) {
  if (monitor) {
    json["monitor"] = *monitor;
  }
}

std::optional<bool> monitor_from(const Members& json) {
  return json.has("monitor") ? std::optional(json.flag("monitor")) : std::nullopt;
}

struct Writer {
  Json operator()(const JobProgress& event) const {
    Json json = begin("progress");
    json["done"] = event.done;
    json["all"] = event.all;
    return json;
  }
  Json operator()(const JobReceived& event) const {
    Json json = begin("received");
    json["bytes"] = event.bytes;
    return json;
  }
  Json operator()(const JobStream& event) const {
    Json json = begin("stream");
    add_monitor(json, event.monitor);
    return json;
  }
  Json operator()(const JobLog& event) const {
    Json json = begin("log");
    json["path"] = cut(event.path, kMaxPath);
    json["panic"] = text_or_null(event.panic, kMaxText);
    return json;
  }
  Json operator()(const JobGuestEvent& event) const {
    Json json = begin("guest");
    json["what"] = event.what;
    json["time_us"] = event.time_us;
    json["details"] = text_or_null(event.details, kMaxPath);
    return json;
  }
  Json operator()(const JobMemoryRead& event) const {
    Json json = begin("memory-read");
    add_monitor(json, event.monitor);
    return json;
  }
  Json operator()(const JobFlash& event) const {
    Json json = begin("flash");
    json["kept"] = event.kept;
    json["why"] = text_or_null(event.why, kMaxPath);
    json["draft"] = text_or_null(event.draft, kMaxPath);
    json["signature"] = signature_json(event.signature);
    return json;
  }
  Json operator()(const JobEnd& event) const {
    Json json = begin("end");
    json["exit_code"] = event.exit_code;
    add_monitor(json, event.monitor);
    json["report"] = Json::parse(event.report, nullptr, false);
    return json;
  }
};

JobEvent event_from(const Json& document) {
  const Members json(document);
  expect_schema(json, kJobSchema);
  const std::string event = json.text("event", kMaxName);
  if (event == "progress") {
    return JobProgress{json.number("done", kMaxPages), json.number("all", kMaxPages)};
  }
  if (event == "received") {
    return JobReceived{json.number("bytes")};
  }
  if (event == "stream") {
    return JobStream{monitor_from(json)};
  }
  if (event == "log") {
    return JobLog{json.text("path", kMaxPath), json.text_or_empty("panic", kMaxText)};
  }
  if (event == "guest") {
    return JobGuestEvent{json.text("what", kMaxName), json.number("time_us"),
                         json.text_or_empty("details", kMaxPath)};
  }
  if (event == "memory-read") {
    return JobMemoryRead{monitor_from(json)};
  }
  if (event == "flash") {
    // Not in the initializer: gcc bug 66139, as in dump_file_json.cc.
    JobFlash flash{json.flag("kept"), json.text_or_empty("why", kMaxPath),
                   json.text_or_empty("draft", kMaxPath)};
    flash.signature = signature_of(json);
    return flash;
  }
  if (event == "end") {
    json.object("report");
    return JobEnd{static_cast<int>(json.number("exit_code", kMaxExitCode)), monitor_from(json),
                  document.at("report").dump()};
  }
  throw Misfit(fmt::format("the event \"{}\" is not known", cut(event, kMaxName)));
}

}  // namespace

std::string to_line(const JobEvent& event) {
  return std::visit(Writer(), event).dump(-1, ' ', true, Json::error_handler_t::replace) + "\n";
}

Result<JobEvent> job_event_from_line(std::string_view line) {
  if (line.size() > kMaxJobLine) {
    return fail(Errc::malformed, "the job's event is longer than {} bytes", kMaxJobLine);
  }
  return read<JobEvent>(line, event_from);
}

}  // namespace vmcore::report
