// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/report/receive.h"

#include "src/report/dump_file_json.h"
#include "src/report/json.h"

namespace vmcore::report {
namespace {

Json guest_json(const ReceiveReport& report) {
  Json json{{"name", cut(report.name, kMaxPath)}};
  if (const auto& claim = report.claim) {
    json["release"] = cut(claim->release, kMaxName);
    json["tag"] = cut(claim->tag, kMaxName);
    json["memory"] = claim->memory;
  }
  json["crash"] = text_or_null(report.crash, kMaxName);
  json["panic"] = text_or_null(report.panic, kMaxText);
  json["log"] = text_or_null(report.log, kMaxPath);
  return json;
}

ReceiveReport report_from(const Json& document) {
  const Members json(document);
  expect_schema(json, ReceiveReport::kSchema);
  const Members guest = json.object("guest");
  ReceiveReport report{.dump = dump_file_from(json),
                       .name = guest.text("name", kMaxPath),
                       .crash = guest.text_or_empty("crash", kMaxName),
                       .panic = guest.text_or_empty("panic", kMaxText),
                       .log = guest.text_or_empty("log", kMaxPath)};
  if (guest.has("memory")) {
    report.claim = GuestClaim{.release = guest.text("release", kMaxName),
                              .tag = guest.text("tag", kMaxName),
                              .memory = guest.number("memory")};
  }
  report.kept = json.text_or_empty("kept", kMaxName);
  return report;
}

}  // namespace

std::string to_json(const ReceiveReport& report) {
  Json json{{"schema", ReceiveReport::kSchema}};
  add_dump(json, report.dump);
  json["guest"] = guest_json(report);
  if (!report.kept.empty()) {
    json["kept"] = cut(report.kept, kMaxName);
  }
  return document_text(json);
}

Result<ReceiveReport> receive_from_json(std::string_view text) {
  return read<ReceiveReport>(text, report_from);
}

}  // namespace vmcore::report
