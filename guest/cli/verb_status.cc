// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "guest/cli/report.h"
#include "guest/cli/verb.h"
#include "guest/status/judge_status.h"
#include "src/command/exit_code.h"
#include "src/command/report_error.h"

namespace vmcore::guest::cli {
namespace {

using Json = nlohmann::ordered_json;

void print_text(const std::vector<Finding>& findings) {
  for (const Finding& finding : findings) {
    fmt::print("Checking {:<40}: {}\n", printable(finding.title), printable(verdict_text(finding)));
  }
}

void print_json(const std::vector<Finding>& findings) {
  Json list = Json::array();
  for (const Finding& finding : findings) {
    list.push_back({{"id", finding.id},
                    {"title", finding.title},
                    {"result", verdict_name(finding.verdict)},
                    {"hint", finding.hint},
                    {"value", finding.value}});
  }
  fmt::print("{}\n", list.dump(2, ' ', true, Json::error_handler_t::replace));
}

int run(bool of_the_day, const Common& common) {
  const auto root = root::Root::open("/");
  if (!root) {
    return report_error(root.error(), common);
  }
  const status::StatusFacts facts = status::read_status(*root);
  if (of_the_day) {
    fmt::print("{}", printable_lines(status::motd(facts)));
    return kExitDone;
  }
  const std::vector<Finding> findings = status::judge_status(facts);
  common.json ? print_json(findings) : print_text(findings);
  return std::ranges::find(findings, Verdict::fail, &Finding::verdict) == findings.end()
             ? kExitDone
             : kExitFailed;
}

}  // namespace

Run add_status(CLI::App& command, const Common& common) {
  const auto of_the_day = std::make_shared<bool>(false);
  command.add_flag("--motd", *of_the_day, "Print only the message of the day");
  return [of_the_day, &common] { return run(*of_the_day, common); };
}

}  // namespace vmcore::guest::cli
