// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/check/judge_guest.h"

#include <algorithm>
#include <iterator>
#include <vector>

#include "src/check/judge_definition.h"
#include "src/check/judge_dump.h"

namespace vmcore::check {

report::CheckReport judge_guest(const GuestFacts& facts) {
  report::CheckReport report{facts.name, {judge_state(facts), judge_encryption(facts)}};
  std::vector<Finding>& findings = report.findings;
  if (facts.setup.active) {
    findings.push_back(judge_idle(facts));
    std::ranges::move(judge_ways(facts), std::back_inserter(findings));
    findings.insert(findings.end(),
                    {judge_kernel(facts), judge_capture_kernel(facts), judge_pause(facts),
                     judge_holder(facts.setup.libvirt_version), judge_room(facts)});
  }
  findings.insert(findings.end(),
                  {judge_memory(facts), judge_panic_device(facts), judge_on_crash(facts),
                   judge_vmcoreinfo(facts), judge_channel(facts)});
  findings.push_back(judge_leftovers(facts));
  return report;
}

}  // namespace vmcore::check
