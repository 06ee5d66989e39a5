// SPDX-License-Identifier: GPL-2.0-or-later
// Judges the facts. Pure.
#pragma once

#include <vector>

#include "guest/status/status_facts.h"
#include "src/base/finding.h"

namespace vmcore::guest::status {

std::vector<Finding> judge_status(const StatusFacts& facts);

// The single checks.
Finding judge_kernel(const StatusFacts& facts);
Finding judge_reserved(const StatusFacts& facts);
Finding judge_setup(const StatusFacts& facts);
Finding judge_fit(const StatusFacts& facts);
Finding judge_image(const StatusFacts& facts);
Finding judge_loaded(const StatusFacts& facts);
Finding judge_hotplug(const StatusFacts& facts);
Finding judge_channel(const StatusFacts& facts);
Finding judge_targets(const StatusFacts& facts);
Finding judge_panic(const StatusFacts& facts);
Finding judge_vmcoreinfo(const StatusFacts& facts);
Finding judge_pstore(const StatusFacts& facts);
Finding judge_early(const StatusFacts& facts);
Finding judge_last(const StatusFacts& facts);

// The message of the day: where the dump of an earlier crash is. Empty if there is none.
std::string motd(const StatusFacts& facts);

}  // namespace vmcore::guest::status
