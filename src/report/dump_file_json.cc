// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/report/dump_file_json.h"

#include <utility>

namespace vmcore::report {
namespace {

constexpr unsigned kMaxLevel = 31;

Json pages_json(const Summary& summary) {
  Json json{{"ram", summary.ram_pages}, {"kept", summary.kept_pages}, {"lost", summary.lost_pages}};
  for (const ClassCount& count : summary.classes) {
    json["by_class"][count.name] = count.pages;
  }
  return json;
}

void take_pages(const Members& json, Summary& summary) {
  summary.ram_pages = json.number("ram", kMaxPages);
  summary.kept_pages = json.number("kept", kMaxPages);
  summary.lost_pages = json.number("lost", kMaxPages);
  if (!json.has("by_class")) {
    return;
  }
  const Json& table = json.table("by_class", kMaxClasses);
  const Members by_class(table);
  for (const auto& [name, value] : table.items()) {
    summary.classes.push_back({name, "", by_class.number(name.c_str(), kMaxPages)});
  }
}

}  // namespace

void add_dump(Json& document, const Result<DumpFile>& dump) {
  if (!dump) {
    document["error"] = {{"code", errc_name(dump.error().code)},
                         {"text", cut(dump.error().message, kMaxPath)}};
    return;
  }
  const Summary& summary = dump->summary;
  document["file"] = text_or_null(dump->path, kMaxPath);
  document["size"] = dump->size ? Json(*dump->size) : Json();
  document["release"] = cut(summary.release, kMaxName);
  if (!summary.build_id.empty()) {
    document["build_id"] = cut(summary.build_id, kMaxName);
  }
  document["level"] = {{"asked", summary.level_asked}, {"reached", summary.level_reached}};
  document["incomplete"] = summary.incomplete;
  document["as_asked"] = dump->as_asked;
  document["pages"] = pages_json(summary);
  document["remarks"] = remarks_json(summary.remarks);
}

Result<DumpFile> dump_file_from(const Members& document) {
  if (document.has("error")) {
    const Members error = document.object("error");
    return tl::unexpected(Error{errc_from_name(error.text("code")), error.text("text", kMaxPath)});
  }
  const Members level = document.object("level");
  // Not as a part of DumpFile's initializer: where a getter throws in there, gcc 12 destroys
  // members that were never made (gcc bug 66139).
  Summary summary{.release = document.text("release", kMaxName),
                  .build_id = document.text_or_empty("build_id", kMaxName),
                  .level_asked = static_cast<unsigned>(level.number("asked", kMaxLevel)),
                  .level_reached = static_cast<unsigned>(level.number("reached", kMaxLevel)),
                  .incomplete = document.flag("incomplete"),
                  .remarks = remarks_from(document.list("remarks", kMaxRemarks + 1))};
  take_pages(document.object("pages"), summary);
  return DumpFile{.path = document.text_or_empty("file", kMaxPath),
                  .size = document.maybe_number("size"),
                  .summary = std::move(summary),
                  .as_asked = document.flag("as_asked")};
}

}  // namespace vmcore::report
