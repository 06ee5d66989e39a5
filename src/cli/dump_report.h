// What is said of a guest's dump.
#pragma once

#include <string>

#include "src/cli/verb.h"
#include "src/job/dump_job.h"

namespace vmcore::cli {

struct ToldDump {
  std::string then;        // the word of --then, empty for none
  bool to_stdout = false;  // the dump itself went there
};

// Tells what came of the dump, and of the guest; the exit code.
int tell_dump(const job::GuestDumpResult& result, const ToldDump& told, const Common& common);

}  // namespace vmcore::cli
