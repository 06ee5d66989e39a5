// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/triage/run_queue.h"

#include <algorithm>
#include <string>

#include "src/kernel/lists.h"
#include "src/triage/cpus.h"

namespace vmcore::triage {

std::optional<std::uint64_t> RunQueueReader::count(VirtAddr queue,
                                                   std::initializer_list<const char*> names) {
  for (const char* const name : names) {
    const auto found = knowledge_->number(queue, name);
    if (found && *found < kernel::kMaxTasks) {
      return *found;
    }
  }
  return std::nullopt;
}

void RunQueueReader::add_task(VirtAddr address, std::string_view policy, report::RunQueue& found) {
  const auto task = kernel::read_task(knowledge_->kernel, *knowledge_->task_layout, address);
  const auto queued = knowledge_->number(address, "task_struct.on_rq");
  if (!task || queued.value_or(0) == 0) {
    found.broken = task ? "a list holds a task that is not queued" : task.error().message;
    return;
  }
  // Since v6.12 a task that begins to sleep may stay in the queue for a while.
  const auto delayed = knowledge_->number(address, "task_struct.se.sched_delayed");
  found.tasks.push_back({.name = name_of(*task),
                         .policy = std::string(policy),
                         .delayed = policy == "fair" && delayed.value_or(0) != 0});
}

void RunQueueReader::add_list(VirtAddr head, std::uint64_t node, std::string_view policy,
                              report::RunQueue& found) {
  const kernel::ListWalk walk = kernel::walk_list(knowledge_->kernel, head, room_);
  for (const VirtAddr entry : walk.entries) {
    add_task({entry.value - node}, policy, found);
  }
  room_ -= std::min(room_, walk.entries.size());
  if (walk.broken) {
    found.broken = walk.broken->message;
  }
}

// rq.cfs_tasks holds the tasks of all groups, the one that runs too.
void RunQueueReader::add_fair(VirtAddr queue, report::RunQueue& found) {
  found.fair = count(queue, {"rq.cfs.h_nr_queued", "rq.cfs.h_nr_running"});
  const auto list = knowledge_->field("rq.cfs_tasks");
  const auto node = knowledge_->field("task_struct.se.group_node");
  if (!list || !node) {
    found.broken = (list ? node : list).error().message;
    return;
  }
  add_list(queue + list->offset(), node->offset(), "fair", found);
}

// A list for each priority. An entry may be a group of tasks (CONFIG_RT_GROUP_SCHED), which is not
// followed.
void RunQueueReader::add_real_time(VirtAddr queue, report::RunQueue& found) {
  constexpr std::uint64_t kHeadBytes = 16, kMostPriorities = 256;
  found.real_time = count(queue, {"rq.rt.rt_nr_running"});
  if (found.real_time.value_or(0) == 0) {
    return;
  }
  const auto lists = knowledge_->field("rq.rt.active.queue");
  const auto node = knowledge_->field("task_struct.rt.run_list");
  if (!lists || !node || knowledge_->field("task_struct.rt.my_q")) {
    found.broken = "real-time tasks are not listed";
    return;
  }
  for (std::uint64_t i = 0; i < std::min(lists->size / kHeadBytes, kMostPriorities); ++i) {
    add_list(queue + (lists->offset() + i * kHeadBytes), node->offset(), "real-time", found);
  }
}

report::RunQueue RunQueueReader::read(VirtAddr queue) {
  report::RunQueue found;
  found.deadline = count(queue, {"rq.dl.dl_nr_running"});
  if (!knowledge_->task_layout) {
    found.broken = knowledge_->task_layout.error().message;
    return found;
  }
  add_fair(queue, found);
  add_real_time(queue, found);
  return found;
}

}  // namespace vmcore::triage
