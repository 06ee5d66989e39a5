// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/triage/tasks.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "src/triage/io_waits.h"
#include "src/triage/locks.h"

namespace vmcore::triage {
namespace {

// Tasks that are read at all.
constexpr std::size_t kMostTasks = 4 * report::kMaxTriageTasks;
constexpr std::size_t kNamesOfGroup = 16;

// include/linux/sched.h since v4.14 (8ef9925b02c2).
constexpr std::uint64_t kInterruptible = 1, kUninterruptible = 2, kStopped = 4, kTraced = 8,
                        kExitDead = 0x10, kExitZombie = 0x20, kParked = 0x40, kDead = 0x80,
                        kWaking = 0x200, kNoLoad = 0x400, kNew = 0x800;

struct Listed {
  kernel::Task task;
  std::string_view state;
};

bool comes_first(const Listed& listed) {
  return listed.task.on_cpu || listed.state == "RU" || listed.state == "UN";
}

// The idle tasks, which are in no list: rq.idle of each CPU.
void add_idle_tasks(Knowledge& knowledge, const std::vector<CpuFinding>& cpus,
                    std::vector<kernel::Task>& tasks) {
  std::set<VirtAddr> known;
  for (const kernel::Task& task : tasks) {
    known.insert(task.address);
  }
  for (const CpuFinding& finding : cpus) {
    const auto queue = knowledge.per_cpu("runqueues", finding.cpu.number);
    const auto idle = queue ? knowledge.pointer(*queue, "rq.idle") : tl::unexpected(queue.error());
    if (!idle || !known.insert(*idle).second) {
      continue;
    }
    if (auto task = kernel::read_task(knowledge.kernel, *knowledge.task_layout, *idle)) {
      tasks.push_back(*std::move(task));
    }
  }
}

std::optional<unsigned> cpu_of(Knowledge& knowledge, VirtAddr task) {
  // thread_info.cpu came back with v5.16 (bcf9033e5449). Some kernels have it before, unused.
  auto cpu = knowledge.number(task, "task_struct.cpu");
  if (!cpu) {
    cpu = knowledge.number(task, "task_struct.thread_info.cpu");
  }
  const auto& offsets = knowledge.per_cpu_offsets;
  return cpu && offsets && *cpu < offsets->size() ? std::optional(static_cast<unsigned>(*cpu))
                                                  : std::nullopt;
}

std::optional<std::uint64_t> stack_of(Knowledge& knowledge, StackTable& stacks,
                                      const std::vector<CpuFinding>& cpus,
                                      const kernel::Task& task) {
  for (const CpuFinding& finding : cpus) {
    if (finding.task && finding.task->address == task.address) {
      return finding.cpu.stack;
    }
  }
  if (task.on_cpu || task.stack.value == 0 || !knowledge.unwinder) {
    return std::nullopt;
  }
  return stacks.add(knowledge.unwinder->of_sleeping(task.thread_sp), task.stack);
}

void count(report::TriageTasks& tasks, std::string_view state) {
  auto found = std::ranges::find(tasks.by_state, state, [](const auto& row) { return row.first; });
  if (found == tasks.by_state.end()) {
    tasks.by_state.emplace_back(state, 0);
    found = std::prev(tasks.by_state.end());
  }
  ++found->second;
}

std::vector<report::WaitingGroup> waiting_groups(const std::vector<report::TriageTask>& tasks) {
  std::map<std::uint64_t, report::WaitingGroup> by_stack;
  for (const report::TriageTask& task : tasks) {
    if (task.state != "UN" || !task.stack) {
      continue;
    }
    report::WaitingGroup& group = by_stack[*task.stack];
    group.stack = *task.stack;
    group.lock = group.lock ? group.lock : task.lock;
    group.io = group.io ? group.io : task.io;
    if (group.names.size() < kNamesOfGroup) {
      group.names.push_back(task.name);
    }
    ++group.tasks;
  }
  std::vector<report::WaitingGroup> groups;
  for (auto& [stack, group] : by_stack) {
    groups.push_back(std::move(group));
  }
  std::ranges::stable_sort(groups, std::ranges::greater(), &report::WaitingGroup::tasks);
  groups.resize(std::min(groups.size(), report::kMaxGroups));
  return groups;
}

}  // namespace

std::string_view state_name(std::uint64_t state, std::uint64_t exit_state) {
  constexpr std::array<std::pair<std::uint64_t, std::string_view>, 7> kNames{
      {{kInterruptible, "IN"},
       {kStopped, "ST"},
       {kTraced, "TR"},
       {kParked, "PA"},
       {kWaking, "WA"},
       {kNew, "NE"},
       {kDead, "DE"}}};
  if ((exit_state & kExitZombie) != 0) {
    return "ZO";
  }
  if ((exit_state & kExitDead) != 0) {
    return "DE";
  }
  if ((state & kUninterruptible) != 0) {
    return (state & kNoLoad) != 0 ? "ID" : "UN";
  }
  for (const auto& [bit, name] : kNames) {
    if ((state & bit) != 0) {
      return name;
    }
  }
  return state == 0 ? "RU" : "??";
}

TaskFindings find_tasks(Knowledge& knowledge, StackTable& stacks,
                        const std::vector<CpuFinding>& cpus, std::vector<Remark>& remarks) {
  if (!knowledge.task_layout) {
    return {.section = {.why_not = knowledge.task_layout.error().message}, .tasks = {}};
  }
  auto found =
      kernel::read_tasks(knowledge.kernel, knowledge.kallsyms, *knowledge.task_layout, kMostTasks);
  if (!found) {
    return {.section = {.why_not = found.error().message}, .tasks = {}};
  }
  remarks.insert(remarks.end(), found->remarks.begin(), found->remarks.end());
  add_idle_tasks(knowledge, cpus, found->tasks);
  report::TriageTasks section{.total = found->tasks.size()};
  std::vector<Listed> all;
  for (const kernel::Task& task : found->tasks) {
    const auto exit = knowledge.number(task.address, "task_struct.exit_state").value_or(0);
    all.push_back({task, state_name(task.state, exit)});
    count(section, all.back().state);
  }
  if (all.size() > report::kMaxTriageTasks) {
    std::stable_partition(all.begin(), all.end(), comes_first);
    remarks.push_back(
        {Errc::limit,
         fmt::format("{} more tasks are not listed", all.size() - report::kMaxTriageTasks),
         Severity::fact});
    all.resize(report::kMaxTriageTasks);
  }
  LockFinder locks(knowledge, found->tasks);
  IoWaitFinder io_waits(knowledge);
  for (const Listed& each : all) {
    section.list.push_back({.name = name_of(each.task),
                            .state = std::string(each.state),
                            .on_cpu = each.task.on_cpu,
                            .cpu = cpu_of(knowledge, each.task.address),
                            .stack = stack_of(knowledge, stacks, cpus, each.task)});
    report::TriageTask& listed = section.list.back();
    if (listed.stack && each.state == "UN") {
      listed.lock = locks.find(each.task, stacks.at(*listed.stack));
      listed.io = listed.lock ? std::nullopt : io_waits.find(each.task, stacks.at(*listed.stack));
    }
  }
  section.waiting = waiting_groups(section.list);
  return {.section = {.value = std::move(section)}, .tasks = std::move(found->tasks)};
}

}  // namespace vmcore::triage
