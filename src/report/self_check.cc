// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/report/self_check.h"

#include <algorithm>

#include "src/report/self_check_json.h"

namespace vmcore::report {
namespace {

constexpr std::size_t kMaxPrograms = 16;

}  // namespace

bool SelfCheck::passed() const {
  return std::ranges::all_of(programs, [](const OpenedBy& each) {
    return each.outcome == "done" || each.outcome == "not tried";
  });
}

Json self_check_json(const SelfCheck& check) {
  Json programs = Json::array();
  for (const OpenedBy& each : check.programs) {
    programs.push_back({{"with", cut(each.with, kMaxName)},
                        {"outcome", cut(each.outcome, kMaxName)},
                        {"why", text_or_null(each.why, kMaxText)},
                        {"milliseconds", each.milliseconds}});
  }
  return {{"passed", check.passed()}, {"programs", std::move(programs)}};
}

SelfCheck self_check_from(const Members& json) {
  SelfCheck check;
  static_cast<void>(json.flag("passed"));  // it follows from the programs
  for (const Json& entry : json.list("programs", kMaxPrograms)) {
    const Members each(entry);
    check.programs.push_back({.with = each.text("with", kMaxName),
                              .outcome = each.text("outcome", kMaxName),
                              .why = each.text_or_empty("why"),
                              .milliseconds = each.number("milliseconds")});
  }
  return check;
}

}  // namespace vmcore::report
