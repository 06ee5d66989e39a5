// SPDX-License-Identifier: GPL-2.0-or-later
// The text about a guest's dump.
#pragma once

#include <optional>
#include <string>

#include "src/cli/verb.h"
#include "src/job/dump_job.h"
#include "src/report/self_check.h"

namespace vmcore::cli {

struct ToldDump {
  std::string then;        // the word of --then, empty for none
  bool to_stdout = false;  // the dump itself went there
  std::string kept = {};   // the ID of the stored crash, empty for none
  std::optional<report::SelfCheck> self_check = {};
};

// Prints the result of the dump and the state of the guest; returns the exit code.
int tell_dump(const job::GuestDumpResult& result, const ToldDump& told, const Common& common);

}  // namespace vmcore::cli
