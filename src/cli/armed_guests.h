// SPDX-License-Identifier: GPL-2.0-or-later
// Of `check`: whether a vmcored keeps the next crash of a guest.
#pragma once

#include <string>

#include "src/base/finding.h"
#include "src/base/result.h"
#include "src/control/control.h"
#include "src/job/read_job.h"

namespace vmcore::cli {

class ArmedGuests {
 public:
  // Asks the service once.
  explicit ArmedGuests(const std::string& control_socket);
  explicit ArmedGuests(Result<control::Answer> answer) : answer_(std::move(answer)) {}

  // `name`: the guest's own.
  Finding judge(const acquire::Selection& guest, const std::string& name) const;

 private:
  Result<control::Answer> answer_;
};

}  // namespace vmcore::cli
