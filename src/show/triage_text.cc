// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/show/triage_text.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "src/base/printable.h"
#include "src/base/units.h"
#include "src/image/page.h"
#include "src/show/text_line.h"
#include "src/show/triage_words.h"

namespace vmcore::show {
namespace {

using report::TaskName;
using report::TriageFrame;
using report::TriageReport;
using report::TriageStack;

constexpr std::size_t kColumns = 110;
// Of the screen.
constexpr std::size_t kFrames = 16, kCpus = 8, kGroups = 5, kLines = 10;

// In the columns of this text.
void entry(std::string& out, std::string_view name, std::string_view value) {
  constexpr std::size_t kColumn = 12;
  line(out, name, value, kColumn);
}

void indented(std::string& out, const std::string& text) {
  out += fmt::format("  {}\n", printable(text));
}

std::string shortened(const std::string& text) {
  return text.size() <= kColumns
             ? text
             : text.substr(0, whole_characters(std::string_view(text).substr(0, kColumns))) + "...";
}

template <class T>
std::string unknown(const report::Known<T>& section) {
  return "not known: " + section.why_not;
}

// The frames from `first` on, with a mark where the stack changes.
void frames(std::string& out, const TriageStack& stack, std::size_t first, std::size_t most) {
  std::string_view on = "task";
  const std::size_t end = std::min(stack.frames.size(), first + most);
  for (std::size_t i = first; i < end; ++i) {
    const TriageFrame& frame = stack.frames[i];
    if (frame.stack != on) {
      on = frame.stack;
      indented(out, on.empty() ? "-- on another stack" : fmt::format("-- on the {} stack", on));
    }
    indented(out, "  " + frame_text(frame));
    for (const std::string& text : source_texts(frame)) {
      indented(out, "      " + text);
    }
  }
  if (end < stack.frames.size()) {
    indented(out, fmt::format("  ... {} more frames", stack.frames.size() - end));
  } else if (!stack.broken.empty()) {
    indented(out, "  the stack is not whole: " + stack.broken);
  }
}

void describe_crash_stack(const TriageReport& report, std::string& out) {
  const CrashStack crash = crash_stack(report);
  if (crash.title.empty()) {
    return;
  }
  out += fmt::format("\n{}\n", crash.title);
  if (crash.stack == nullptr) {
    indented(out, "not known: " + crash.why_not);
    return;
  }
  frames(out, *crash.stack, behind_panic(*crash.stack), kFrames);
}

void describe_cpus(const TriageReport& report, std::string& out) {
  if (!report.cpus.value) {
    entry(out, "CPUs", unknown(report.cpus));
    return;
  }
  const std::uint64_t crashed = crashed_cpu(report);
  std::size_t listed = 0;
  for (const report::TriageCpu& cpu : *report.cpus.value) {
    if (cpu.number == crashed) {
      continue;
    }
    if (listed == 0) {
      out += crashed != ~0ULL ? "\nother CPUs\n" : "\nCPUs\n";
    }
    if (listed++ < kCpus) {
      indented(out, shortened(cpu_text(cpu, report)));
    }
  }
  if (listed > kCpus) {
    indented(out, fmt::format("... {} more CPUs", listed - kCpus));
  }
}

void describe_queues(const TriageReport& report, std::string& out) {
  std::size_t listed = 0;
  for (const report::TriageCpu& cpu :
       report.cpus.value.value_or(std::vector<report::TriageCpu>())) {
    if (!cpu.queue || cpu.queue->tasks.size() < 2 || listed++ >= kCpus) {
      continue;
    }
    out += listed == 1 ? "\nrun queues\n" : "";
    indented(out, shortened(fmt::format("CPU {:<3} {}", cpu.number, queue_text(*cpu.queue))));
  }
  if (listed > kCpus) {
    indented(out, fmt::format("... {} more CPUs", listed - kCpus));
  }
}

void describe_waiting(const TriageReport& report, std::string& out) {
  if (!report.tasks.value) {
    entry(out, "tasks", unknown(report.tasks));
    return;
  }
  const report::TriageTasks& tasks = *report.tasks.value;
  std::vector<std::string> counts;
  for (const auto& [state, count] : tasks.by_state) {
    counts.push_back(fmt::format("{} {}", count, state));
  }
  out += fmt::format("\n{:<12}{}: {}\n", "tasks", tasks.total, printable(joined(counts)));
  for (std::size_t i = 0; i < std::min(kGroups, tasks.waiting.size()); ++i) {
    const report::WaitingGroup& group = tasks.waiting[i];
    std::string text = fmt::format("{} {} in ", group.tasks, group.tasks == 1 ? "waits" : "wait");
    text += chain(report.stacks[group.stack]);
    indented(out, shortened(text));
    indented(out, shortened("  " + names_text(group.names)));
    if (const std::string wait = wait_text(group); !wait.empty()) {
      indented(out, "  for the " + wait);
    }
  }
  if (tasks.waiting.size() > kGroups) {
    indented(out,
             fmt::format("... {} more stacks of waiting tasks", tasks.waiting.size() - kGroups));
  }
}

void describe_log(const TriageReport& report, std::string& out) {
  if (!report.log.value) {
    entry(out, "log", unknown(report.log));
    return;
  }
  const auto& lines = *report.log.value;
  const auto end = end_of_story(report);
  const auto before = std::min<std::ptrdiff_t>(kLines, end - lines.begin());
  out += end != lines.end() ? "\nlog up to the crash\n" : "\nend of the log\n";
  for (auto each = end - before; each != end; ++each) {
    indented(out, shortened(*each));
  }
}

void list_registers(const std::vector<report::NamedRegister>& registers, std::string& out) {
  constexpr std::size_t kInLine = 4;
  for (std::size_t i = 0; i < registers.size(); ++i) {
    out += fmt::format("{}{:>9} {:016x}", i % kInLine == 0 ? "  " : "",
                       printable(registers[i].name), registers[i].value);
    out += i % kInLine == kInLine - 1 || i + 1 == registers.size() ? "\n" : "";
  }
}

void describe_queue(const std::optional<report::RunQueue>& queue, std::string& out) {
  if (!queue) {
    return;
  }
  const auto number = [](const std::optional<std::uint64_t>& count) {
    return count ? fmt::format("{}", *count) : "?";
  };
  indented(out, fmt::format("queue: fair {}, real-time {}, deadline {}{}{}", number(queue->fair),
                            number(queue->real_time), number(queue->deadline),
                            queue->tasks.empty() ? "" : ": ", queue_text(*queue)));
  if (!queue->broken.empty()) {
    indented(out, "  tasks may be missing: " + queue->broken);
  }
}

void all_cpus(const TriageReport& report, std::string& out) {
  if (!report.cpus.value) {
    return;
  }
  for (const report::TriageCpu& cpu : *report.cpus.value) {
    out += fmt::format("\nCPU {}: {}{}{}{}\n", cpu.number,
                       cpu.mode.empty() ? "?" : printable(cpu.mode),
                       cpu.online && !*cpu.online ? ", not online" : "",
                       cpu.task ? printable(", task " + task_text(*cpu.task)) : "",
                       cpu.runnable ? fmt::format(", {} runnable", *cpu.runnable) : "");
    describe_queue(cpu.queue, out);
    list_registers(cpu.registers, out);
    if (cpu.stack) {
      frames(out, report.stacks[*cpu.stack], 0, report::kMaxFrames);
    } else {
      indented(out, "no stack: " + cpu.why_no_stack);
    }
  }
}

void all_tasks(const TriageReport& report, std::string& out) {
  if (!report.tasks.value) {
    return;
  }
  std::map<std::uint64_t, std::vector<TaskName>> by_stack;
  out += "\ntasks\n       pid     tgid  cpu  state  comm\n";
  for (const report::TriageTask& task : report.tasks.value->list) {
    out += fmt::format("{}{:>9}{:>9}{:>5}  {:<5}  {}\n", task.on_cpu ? ">" : " ", task.name.pid,
                       task.name.tgid, task.cpu ? fmt::format("{}", *task.cpu) : "?",
                       printable(task.state), printable(task.name.comm));
    if (task.stack && !task.on_cpu) {
      by_stack[*task.stack].push_back(task.name);
    }
  }
  for (const auto& [stack, tasks] : by_stack) {
    out += fmt::format("\n{} {}: {}\n", tasks.size(), tasks.size() == 1 ? "task" : "tasks",
                       printable(names_text(tasks)));
    frames(out, report.stacks[stack], 0, report::kMaxFrames);
  }
}

void all_modules(const TriageReport& report, std::string& out) {
  if (!report.modules.value) {
    return;
  }
  out += "\nmodules\n";
  for (const report::TriageModule& module : *report.modules.value) {
    out += fmt::format("  {:#018x} {:>10}  {}{}\n", module.address, human_size(module.size),
                       printable(module.name),
                       module.taints.empty() ? "" : printable(" (" + module.taints + ")"));
  }
}

void all_memory(const TriageReport& report, std::string& out) {
  if (!report.memory.value) {
    out += fmt::format("\nmemory: {}\n", printable(unknown(report.memory)));
    return;
  }
  const report::TriageMemory& memory = *report.memory.value;
  out += "\nmemory\n";
  for (const report::ZoneUse& zone : memory.zones) {
    out += fmt::format("  node {} {:<10} {:>10} of {:>10} free (low: {})\n", zone.node,
                       printable(zone.name), human_size(zone.free * kPageSize),
                       human_size(zone.managed * kPageSize), human_size(zone.low * kPageSize));
  }
  const auto table = [&](const char* title, const std::vector<report::NamedBytes>& rows) {
    out += rows.empty() ? "" : fmt::format("{}\n", title);
    for (const report::NamedBytes& row : rows) {
      if (row.bytes == 0) {
        continue;
      }
      out += fmt::format("  {:>12}  {}\n", human_size(row.bytes), printable(row.name));
    }
  };
  table("counters", memory.counters);
  table("biggest slabs", memory.slabs);
  out += memory.tasks.empty() ? "" : "biggest tasks\n";
  for (const report::TaskMemory& task : memory.tasks) {
    out += fmt::format("  {:>12}  {}\n", human_size(task.rss), printable(task_text(task.task)));
  }
}

// Where memory ran out, who has it.
void describe_memory(const TriageReport& report, std::string& out) {
  const bool ran_out =
      report.panic.value && report.panic.value->kind == report::CrashClass::out_of_memory;
  if (!ran_out || !report.memory.value) {
    return;
  }
  constexpr std::size_t kBiggest = 3;
  const report::TriageMemory& memory = *report.memory.value;
  out += "\nmemory\n";
  for (const report::ZoneUse& zone : memory.zones) {
    indented(out,
             fmt::format("node {} {}: {} of {} free", zone.node, zone.name,
                         human_size(zone.free * kPageSize), human_size(zone.managed * kPageSize)));
  }
  for (std::size_t i = 0; i < std::min(kBiggest, memory.tasks.size()); ++i) {
    indented(out, fmt::format("task {}: {}", task_text(memory.tasks[i].task),
                              human_size(memory.tasks[i].rss)));
  }
  for (std::size_t i = 0; i < std::min(kBiggest, memory.slabs.size()); ++i) {
    indented(out,
             fmt::format("slab {}: {}", memory.slabs[i].name, human_size(memory.slabs[i].bytes)));
  }
}

void all_mounts(const TriageReport& report, std::string& out) {
  if (report.mounts.value) {
    out += "\nmounts\n";
    for (const report::Mount& mount : *report.mounts.value) {
      indented(out, fmt::format("{} on {} type {}", mount.device, mount.point, mount.type));
    }
  }
  if (report.files.value) {
    out += "\nopen files of the task that crashed\n";
    for (const report::OpenFile& file : *report.files.value) {
      indented(out, fmt::format("{:>4}  {}{}", file.number, file.path,
                                file.socket ? " " + socket_text(*file.socket) : ""));
    }
  }
}

}  // namespace

std::string triage_screen(const TriageReport& report, const std::string& name) {
  std::string out;
  for (const Fact& fact : facts_of(report, name)) {
    entry(out, fact.name, fact.value);
  }
  describe_memory(report, out);
  describe_crash_stack(report, out);
  describe_cpus(report, out);
  describe_queues(report, out);
  describe_waiting(report, out);
  describe_log(report, out);
  return out;
}

std::string triage_details(const TriageReport& report) {
  std::string out;
  all_cpus(report, out);
  if (report.panic.value && report.panic.value->fault) {
    out += fmt::format("\nregisters in {}\n", printable(report.panic.value->fault->name));
    list_registers(report.panic.value->fault->registers, out);
  }
  all_memory(report, out);
  all_mounts(report, out);
  all_modules(report, out);
  all_tasks(report, out);
  if (report.log.value) {
    out += "\nlast lines of the log\n";
    for (const std::string& text : *report.log.value) {
      indented(out, text);
    }
  }
  return out;
}

}  // namespace vmcore::show
