// SPDX-License-Identifier: GPL-2.0-or-later
// The progress line on a terminal; nothing in a pipe.
#pragma once

#include "src/job/convert_job.h"

namespace vmcore::cli {

// Draws on standard error if that is a terminal and `quiet` is not set; the line is erased with the
// object.
class ProgressLine {
 public:
  explicit ProgressLine(bool quiet);
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  // To hand to a job; borrows this object.
  job::OnProgress callback();

 private:
  void show(const sandbox::Event& event);

  bool shown_;
  bool drawn_ = false;
};

}  // namespace vmcore::cli
