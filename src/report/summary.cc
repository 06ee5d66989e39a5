// SPDX-License-Identifier: GPL-2.0-or-later
#include <utility>

#include "src/report/summary_json.h"

namespace vmcore::report {
namespace {

constexpr unsigned kMaxLevel = 31;

}  // namespace

Json summary_json(const Summary& summary) {
  Json classes = Json::array();
  for (const ClassCount& count : summary.classes) {
    classes.push_back({{"name", count.name}, {"title", count.title}, {"pages", count.pages}});
  }
  Json json{{"release", cut(summary.release, kMaxName)},
            {"build_id", cut(summary.build_id, kMaxName)},
            {"level_asked", summary.level_asked},
            {"level_reached", summary.level_reached},
            {"incomplete", summary.incomplete},
            {"ram_pages", summary.ram_pages},
            {"kept_pages", summary.kept_pages},
            {"lost_pages", summary.lost_pages},
            {"crashed", summary.crashed},
            {"callers", summary.callers},
            {"classes", std::move(classes)},
            {"remarks", remarks_json(summary.remarks)}};
  if (summary.armed) {
    json["armed"] = *summary.armed;
  }
  return json;
}

Summary summary_from(const Members& json) {
  Summary summary{.release = json.text("release", kMaxName),
                  .build_id = json.text("build_id", kMaxName),
                  .level_asked = static_cast<unsigned>(json.number("level_asked", kMaxLevel)),
                  .level_reached = static_cast<unsigned>(json.number("level_reached", kMaxLevel)),
                  .incomplete = json.flag("incomplete"),
                  .ram_pages = json.number("ram_pages", kMaxPages),
                  .kept_pages = json.number("kept_pages", kMaxPages),
                  .lost_pages = json.number("lost_pages", kMaxPages),
                  .crashed = json.flag("crashed"),
                  .remarks = remarks_from(json.list("remarks", kMaxRemarks + 1))};
  summary.callers = json.flag("callers");
  if (json.has("armed")) {
    summary.armed = json.flag("armed");
  }
  for (const Json& entry : json.list("classes", kMaxClasses)) {
    const Members count(entry);
    summary.classes.push_back({count.text("name", kMaxName), count.text("title", kMaxName),
                               count.number("pages", kMaxPages)});
  }
  return summary;
}

}  // namespace vmcore::report
