// SPDX-License-Identifier: GPL-2.0-or-later
// Which lock a task waits for, and who holds it: by the waiter that the task has on its stack.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "src/report/triage.h"
#include "src/triage/knowledge.h"

namespace vmcore::triage {

class LockFinder {
 public:
  // `tasks`: all that are known. Borrowed.
  LockFinder(Knowledge& knowledge, const std::vector<kernel::Task>& tasks);

  // The mutex or rw_semaphore that the task waits for, if its stack shows that it waits for one.
  // Nothing where memory leaves a doubt: struct mutex_waiter or rwsem_waiter on the stack names the
  // task, its list is whole, holds one lock besides waiters, and the owner is a task.
  std::optional<report::LockWait> find(const kernel::Task& task, const report::TriageStack& stack);

 private:
  struct Kind;
  std::optional<report::LockWait> at(const Kind& kind, VirtAddr waiter);
  // The lock of the list that the waiter is in.
  std::optional<VirtAddr> lock_of(const Kind& kind, VirtAddr waiter);
  Result<Kind> kind_of(const char* name);

  Knowledge* knowledge_;
  std::map<VirtAddr, const kernel::Task*> tasks_;
};

}  // namespace vmcore::triage
