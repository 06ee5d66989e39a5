// SPDX-License-Identifier: GPL-2.0-or-later
// Deadline: a moment until which something may take, and a descriptor that cancels it, as one
// descriptor to wait for.
#pragma once

#include <chrono>

#include "src/base/fd.h"
#include "src/base/result.h"

namespace vmcore::job {

class Deadline {
 public:
  // `cancel` is borrowed; -1: only time ends it.
  static Result<Deadline> after(std::chrono::milliseconds time, int cancel);

  // Becomes readable when the time is over, or `cancel` is readable.
  int fd() const { return either_.get(); }
  bool is_over() const;

 private:
  Deadline(Fd timer, Fd either) : timer_(std::move(timer)), either_(std::move(either)) {}

  Fd timer_;
  Fd either_;
};

}  // namespace vmcore::job
