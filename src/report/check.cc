// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/report/check.h"

#include "src/report/json.h"

namespace vmcore::report {
namespace {

constexpr std::size_t kMaxFindings = 1U << 16;  // of all the guests of a host
constexpr std::size_t kMaxNumbers = 16;         // of a finding
constexpr std::size_t kMaxDiff = 1U << 20;

// The list has no place for members of its own, so each finding names the schema.
Json finding_json(const std::string& guest, const Finding& finding) {
  Json numbers = Json::object();
  for (const auto& [name, number] : finding.numbers) {
    numbers[name] = number;
  }
  return {{"schema", CheckReport::kSchema},
          {"guest", text_or_null(guest, kMaxName)},
          {"id", finding.id},
          {"title", cut(finding.title, kMaxPath)},
          {"result", verdict_name(finding.verdict)},
          {"hint", cut(finding.hint, kMaxPath)},
          {"value", cut(finding.value, kMaxPath)},
          {"numbers", std::move(numbers)}};
}

// Earlier documents have none.
std::vector<std::pair<std::string, std::uint64_t>> numbers_from(const Members& json) {
  std::vector<std::pair<std::string, std::uint64_t>> numbers;
  if (json.has("numbers")) {
    const Json& table = json.table("numbers", kMaxNumbers);
    const Members members(table);
    for (const auto& [name, value] : table.items()) {
      numbers.emplace_back(cut(name, kMaxName), members.number(name.c_str()));
    }
  }
  return numbers;
}

Finding finding_from(const Members& json) {
  expect_schema(json, CheckReport::kSchema);
  const auto verdict = verdict_from_name(json.text("result", kMaxName));
  if (!verdict) {
    throw Misfit("an unknown result");
  }
  return {.id = json.text("id", kMaxName),
          .title = json.text("title", kMaxPath),
          .verdict = *verdict,
          .hint = json.text("hint", kMaxPath),
          .value = json.text("value", kMaxPath),
          .numbers = numbers_from(json)};
}

std::vector<CheckReport> reports_from(const Json& document) {
  if (!document.is_array() || document.size() > kMaxFindings) {
    throw Misfit("it is not a list of findings");
  }
  std::vector<CheckReport> reports;
  for (const Json& entry : document) {
    const Members json(entry);
    std::string guest = json.text_or_empty("guest", kMaxName);
    if (reports.empty() || reports.back().guest != guest) {
      reports.push_back({.guest = std::move(guest)});
    }
    reports.back().findings.push_back(finding_from(json));
  }
  return reports;
}

Json fix_json(const FixReport& report) {
  return {{"schema", FixReport::kSchema},
          {"guest", cut(report.guest, kMaxName)},
          {"changed", report.changed},
          {"would_change", report.would_change},
          {"running", report.running},
          {"diff", cut(report.diff, kMaxDiff)},
          {"saved", text_or_null(report.saved, kMaxPath)},
          {"skipped", text_or_null(report.skipped, kMaxPath)}};
}

FixReport fix_from(const Json& document) {
  const Members json(document);
  expect_schema(json, FixReport::kSchema);
  return {.guest = json.text("guest", kMaxName),
          .changed = json.flag("changed"),
          .would_change = json.has("would_change") && json.flag("would_change"),
          .running = json.has("running") && json.flag("running"),
          .diff = json.text("diff", kMaxDiff),
          .saved = json.text_or_empty("saved", kMaxPath),
          .skipped = json.text_or_empty("skipped", kMaxPath)};
}

}  // namespace

std::string to_json(std::span<const CheckReport> reports) {
  Json list = Json::array();
  for (const CheckReport& report : reports) {
    for (const Finding& finding : report.findings) {
      list.push_back(finding_json(report.guest, finding));
    }
  }
  return document_text(list);
}

Result<std::vector<CheckReport>> check_from_json(std::string_view text) {
  return read<std::vector<CheckReport>>(text, reports_from);
}

std::string to_json(const FixReport& report) { return document_text(fix_json(report)); }

Result<FixReport> fix_from_json(std::string_view text) { return read<FixReport>(text, fix_from); }

}  // namespace vmcore::report
