// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/report/debuginfo.h"

#include "src/report/json.h"

namespace vmcore::report {
namespace {

Json file_json(const DebugFileFound& file) {
  Json json{{"path", cut(file.path, kMaxPath)},
            {"build_id", cut(file.build_id, kMaxName)},
            {"matched_by", file.matched_by},
            {"source", file.source}};
  if (!file.alternate.empty()) {
    json["alternate"] = cut(file.alternate, kMaxPath);
  }
  return json;
}

Json texts_json(const std::vector<std::string>& texts) {
  Json list = Json::array();
  for (const std::string& text : texts) {
    list.push_back(cut(text, kMaxText));
  }
  return list;
}

Json modules_json(const DebuginfoReport& report) {
  if (!report.modules_known) {
    return nullptr;
  }
  Json found = Json::array();
  for (const DebugModule& module : report.modules) {
    found.push_back({{"name", cut(module.name, kMaxName)}, {"file", file_json(module.file)}});
  }
  return {{"found", std::move(found)},
          {"folder", text_or_null(report.module_folder, kMaxPath)},
          {"missing", texts_json(report.missing_modules)},
          {"out_of_tree", texts_json(report.foreign_modules)}};
}

Json refused_json(const std::vector<DebugFileRefused>& refused) {
  Json list = Json::array();
  for (const DebugFileRefused& file : refused) {
    list.push_back({{"path", cut(file.path, kMaxPath)}, {"why", cut(file.why, kMaxText)}});
  }
  return list;
}

Json advice_json(const std::optional<PackageAdvice>& advice) {
  if (!advice) {
    return nullptr;
  }
  return {{"distribution", text_or_null(advice->distribution, kMaxName)},
          {"package", text_or_null(advice->package, kMaxText)},
          {"repositories", texts_json(advice->repositories)},
          {"commands", texts_json(advice->commands)},
          {"note", text_or_null(advice->note, kMaxText)}};
}

}  // namespace

std::string to_json(const DebuginfoReport& report) {
  return document_text({{"schema", DebuginfoReport::kSchema},
                        {"release", cut(report.release, kMaxName)},
                        {"build_id", cut(report.build_id, kMaxName)},
                        {"banner", text_or_null(report.banner, kMaxText)},
                        {"vmlinux", report.vmlinux ? file_json(*report.vmlinux) : Json(nullptr)},
                        {"modules", modules_json(report)},
                        {"refused", refused_json(report.refused)},
                        {"advice", advice_json(report.advice)},
                        {"remarks", remarks_json(report.remarks)}});
}

}  // namespace vmcore::report
