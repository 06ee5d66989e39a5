// SPDX-License-Identifier: GPL-2.0-or-later
// Which page, buffer or block I/O a task waits for: by the waiter that the task has on its stack.
#pragma once

#include <optional>
#include <string>

#include "src/report/triage.h"
#include "src/triage/knowledge.h"

namespace vmcore::triage {

class IoWaitFinder {
 public:
  explicit IoWaitFinder(Knowledge& knowledge);

  // The page or buffer if the stack has a struct wait_page_queue or wait_bit_queue_entry that names
  // the task and the function that wakes the task, and that is in a list. Else the kind "io" if
  // task_struct.in_iowait is set. Else nothing.
  std::optional<report::IoWait> find(const kernel::Task& task, const report::TriageStack& stack);

 private:
  struct Waiter;
  Result<Waiter> waiter(const std::string& type, const std::string& entry, const char* wakes);
  bool is_waiter(const Waiter& waiter, VirtAddr at);
  std::optional<report::IoWait> for_page(VirtAddr at);
  std::optional<report::IoWait> for_buffer(VirtAddr at);
  void describe_page(VirtAddr page, report::IoWait& wait);

  Knowledge* knowledge_;
  std::uint64_t locked_ = 0, writeback_ = 0;  // numbers of page flags
};

}  // namespace vmcore::triage
