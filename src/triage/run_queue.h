// SPDX-License-Identifier: GPL-2.0-or-later
// The run queues: how many tasks of each scheduling class, and which.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <optional>
#include <string_view>

#include "src/report/triage.h"
#include "src/triage/knowledge.h"

namespace vmcore::triage {

class RunQueueReader {
 public:
  explicit RunQueueReader(Knowledge& knowledge) : knowledge_(&knowledge) {}

  // Of the struct rq. All queues together list at most report::kMaxQueued tasks. A task is listed
  // if a queue that is whole up to it holds it, and the task itself says that it is queued.
  report::RunQueue read(VirtAddr queue);

 private:
  std::optional<std::uint64_t> count(VirtAddr queue, std::initializer_list<const char*> names);
  void add_fair(VirtAddr queue, report::RunQueue& found);
  void add_real_time(VirtAddr queue, report::RunQueue& found);
  // Adds the tasks of a list, the entries of which lie `node` bytes into their tasks.
  void add_list(VirtAddr head, std::uint64_t node, std::string_view policy,
                report::RunQueue& found);
  void add_task(VirtAddr address, std::string_view policy, report::RunQueue& found);

  Knowledge* knowledge_;
  std::size_t room_ = report::kMaxQueued;
};

}  // namespace vmcore::triage
