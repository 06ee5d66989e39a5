// SPDX-License-Identifier: GPL-2.0-or-later
// What is said of the dump that a guest's own capture kernel sends.
#pragma once

#include <string>

#include "src/cli/verb.h"
#include "src/job/receive_job.h"

namespace vmcore::cli {

// While it comes: what is known already, on standard error.
class ReceiveTelling {
 public:
  explicit ReceiveTelling(bool quiet) : quiet_(quiet) {}

  void tell(const job::ReceiveReport& report);

 private:
  bool quiet_;
  bool told_order_ = false;
  bool told_waiting_ = false;
  bool told_hello_ = false;
  bool told_panic_ = false;
  bool told_log_ = false;
  bool told_interrupted_ = false;
  std::string told_stray_;
};

struct ToldReception {
  bool to_stdout = false;  // the dump itself went there
  std::string kept = {};   // the ID of the stored crash, empty for none
};

// Tells what came of it; the exit code.
int tell_received(const job::ReceiveResult& result, const ToldReception& told,
                  const Common& common);

}  // namespace vmcore::cli
