// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/cli/triage_text.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "src/base/printable.h"
#include "src/cli/dump_options.h"
#include "src/cli/text_line.h"
#include "src/image/page.h"

namespace vmcore::cli {
namespace {

using report::TaskName;
using report::TriageFrame;
using report::TriageReport;
using report::TriageStack;

constexpr std::size_t kColumns = 110;
// Of the screen.
constexpr std::size_t kFrames = 16, kCpus = 8, kGroups = 5, kLines = 10, kChain = 5;

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

std::string task_text(const TaskName& task) { return fmt::format("{} {}", task.pid, task.comm); }

template <class T>
std::string unknown(const report::Known<T>& section) {
  return "not known: " + section.why_not;
}

// The frames of the panic itself come first, and tell nothing.
std::size_t behind_panic(const TriageStack& stack) {
  constexpr std::array<std::string_view, 2> kPanics{"panic", "vpanic"};
  std::size_t behind = 0;
  for (std::size_t i = 0; i < stack.frames.size(); ++i) {
    if (std::ranges::find(kPanics, stack.frames[i].function) != kPanics.end()) {
      behind = i + 1;
    }
  }
  return behind < stack.frames.size() ? behind : 0;
}

std::string frame_text(const TriageFrame& frame) {
  return text_of(frame) + (frame.guessed ? "  (guessed)" : "");
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
  }
  if (end < stack.frames.size()) {
    indented(out, fmt::format("  ... {} more frames", stack.frames.size() - end));
  } else if (!stack.broken.empty()) {
    indented(out, "  the stack is not whole: " + stack.broken);
  }
}

// What a task waits in: its functions, without those of the scheduler.
std::string chain(const TriageStack& stack) {
  constexpr std::array<std::string_view, 8> kScheduler{"__schedule",
                                                       "schedule",
                                                       "schedule_timeout",
                                                       "io_schedule",
                                                       "schedule_preempt_disabled",
                                                       "ret_from_fork",
                                                       "ret_from_fork_asm",
                                                       "entry_SYSCALL_64_after_hwframe"};
  std::string text;
  std::size_t names = 0;
  for (const TriageFrame& frame : stack.frames) {
    if (std::ranges::find(kScheduler, frame.function) != kScheduler.end()) {
      continue;
    }
    if (names++ == kChain) {
      return text + " < ...";
    }
    text += (text.empty() ? "" : " < ") + (frame.function.empty() ? "?" : frame.function);
  }
  return text;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i) {
    text += (i == 0 ? "" : i + 1 == words.size() ? " and " : ", ") + words[i];
  }
  return text;
}

std::string evidence_text(const std::vector<std::string>& evidence) {
  static const std::map<std::string, std::string, std::less<>> kWords{
      {"log", "the log"}, {"stack", "the stack"}, {"panic_cpu", "the kernel's panic_cpu"}};
  std::vector<std::string> words;
  for (const std::string& each : evidence) {
    const auto word = kWords.find(each);
    words.push_back(word != kWords.end() ? word->second : each);
  }
  return joined(words);
}

void describe_fault(const report::FaultingFunction& fault, std::string& out) {
  if (fault.arguments.empty()) {
    return;
  }
  std::string text;
  for (const report::Argument& argument : fault.arguments) {
    text += fmt::format("{}{} {} = {:#x}", text.empty() ? "" : ", ", argument.type, argument.name,
                        argument.value);
  }
  entry(out, "arguments", fmt::format("{}({}), as in the registers now", fault.name, text));
}

void describe_panic(const TriageReport& report, std::string& out) {
  if (!report.panic.value) {
    entry(out, "crash", "none known: " + report.panic.why_not);
    return;
  }
  const report::TriagePanic& panic = *report.panic.value;
  const std::string title = panic.signature && !panic.signature->title.empty()
                                ? panic.signature->title
                                : std::string(crash_class_title(panic.kind));
  entry(out, "crash", fmt::format("{} (by {})", title, evidence_text(panic.evidence)));
  if (!panic.message.empty()) {
    entry(out, "message", panic.message);
  }
  std::string where = panic.cpu ? fmt::format("CPU {}", *panic.cpu) : "an unknown CPU";
  if (panic.task) {
    where += ", task " + task_text(*panic.task);
  }
  if (panic.fault) {
    where += ", in " + panic.fault->name;
  }
  entry(out, "where", where);
  if (panic.fault) {
    describe_fault(*panic.fault, out);
  }
  if (panic.signature) {
    entry(out, "signature",
          fmt::format("family {}{}{}", panic.signature->family,
                      panic.signature->exact.empty() ? "" : ", exact " + panic.signature->exact,
                      panic.signature->weak ? " (weak: crashes of other kinds may have it)" : ""));
  }
}

std::string duration(double seconds) {
  const auto whole = static_cast<std::uint64_t>(std::max(0.0, seconds));
  constexpr std::uint64_t kMinute = 60, kHour = 3600, kDay = 86400;
  if (whole >= kDay) {
    return fmt::format("{} days {} h", whole / kDay, whole % kDay / kHour);
  }
  if (whole >= kHour) {
    return fmt::format("{} h {} min", whole / kHour, whole % kHour / kMinute);
  }
  return whole >= kMinute ? fmt::format("{} min {} s", whole / kMinute, whole % kMinute)
                          : fmt::format("{} s", whole);
}

void describe_kernel(const TriageReport& report, std::string& out) {
  if (!report.kernel.value) {
    entry(out, "kernel", unknown(report.kernel));
    return;
  }
  const report::TriageKernel& kernel = *report.kernel.value;
  std::string text = kernel.release;
  if (kernel.uptime_seconds) {
    text += ", up " + duration(*kernel.uptime_seconds);
  }
  entry(out, "kernel", text);
  if (!kernel.build_id.empty()) {
    entry(out, "build-id", kernel.build_id);
  }
  if (kernel.taint_mask && kernel.taints.empty()) {
    entry(out, "taint", "none");
  }
  for (const report::Taint& taint : kernel.taints) {
    entry(out, "taint", fmt::format("{}: {}", taint.letter, taint.meaning));
  }
}

void describe_modules(const TriageReport& report, std::string& out) {
  if (!report.modules.value) {
    entry(out, "modules", unknown(report.modules));
    return;
  }
  std::string text = fmt::format("{}", report.modules.value->size());
  std::vector<std::string> foreign;
  for (const report::TriageModule& module : *report.modules.value) {
    if (module.out_of_tree) {
      foreign.push_back(fmt::format("{} ({})", module.name, module.taints));
    }
  }
  entry(out, "modules", text + (foreign.empty() ? "" : "; not of the kernel: " + joined(foreign)));
}

void describe_source(const TriageReport& report, const std::string& name, std::string& out) {
  std::string text = name + (report.format.empty() ? "" : ", " + report.format);
  if (!report.consistency.empty()) {
    text += ", consistency " + report.consistency;
  }
  entry(out, "from", text);
  if (report.consistency == "torn") {
    entry(out, "torn", "the guest ran while it was read: parts may contradict each other");
  }
  if (report.incomplete) {
    entry(out, "complete", "NO: parts are missing");
  }
}

// A CPU that panic() stopped by an interrupt or NMI: what it did before.
std::optional<std::string> stopped_in(const TriageStack& stack) {
  constexpr std::array<std::string_view, 3> kStops{"stop_this_cpu", "crash_nmi_callback",
                                                   "nmi_shootdown_nmi"};
  const auto stops = [&](const TriageFrame& frame) {
    return std::ranges::find(kStops, frame.function) != kStops.end();
  };
  const auto stop = std::ranges::find_if(stack.frames, stops);
  if (stop == stack.frames.end()) {
    return std::nullopt;
  }
  const auto before = std::find_if(std::next(stop), stack.frames.end(),
                                   [](const TriageFrame& frame) { return frame.exact; });
  if (before == stack.frames.end()) {
    return stack.broken.empty() ? "in user mode" : "";
  }
  const TriageStack rest{.frames = {before, stack.frames.end()}};
  const bool idle =
      std::ranges::find(rest.frames, "do_idle", &TriageFrame::function) != rest.frames.end();
  return idle ? "while idle" : "in " + chain(rest);
}

std::string cpu_text(const report::TriageCpu& cpu, const TriageReport& report) {
  const auto stopped = cpu.stack ? stopped_in(report.stacks[*cpu.stack]) : std::nullopt;
  std::string text =
      fmt::format("CPU {:<3} {:<8}", cpu.number, stopped ? "stopped" : std::string_view(cpu.mode));
  if (cpu.task) {
    text += "  task " + task_text(*cpu.task);
  }
  if (stopped) {
    text += ", " + *stopped;
  } else if (cpu.stack && cpu.mode != "idle") {
    text += ", in " + chain(report.stacks[*cpu.stack]);
  } else if (!cpu.why_no_stack.empty() && cpu.mode != "user") {
    text += ": " + cpu.why_no_stack;
  }
  return text;
}

// Where no CPU did, a number that none has.
std::uint64_t crashed_cpu(const TriageReport& report) {
  return report.panic.value && report.panic.value->cpu ? *report.panic.value->cpu : ~0ULL;
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

// The stack of the CPU that crashed.
void describe_crash_stack(const TriageReport& report, std::string& out) {
  if (report.panic.value && report.panic.value->stack) {
    const TriageStack& stack = report.stacks[*report.panic.value->stack];
    out += "\nstack of the crash\n";
    frames(out, stack, behind_panic(stack), kFrames);
    return;
  }
  if (!report.cpus.value) {
    return;
  }
  const std::uint64_t crashed = crashed_cpu(report);
  const auto cpu = std::ranges::find(*report.cpus.value, crashed, &report::TriageCpu::number);
  if (cpu == report.cpus.value->end()) {
    return;
  }
  out += fmt::format("\nstack of CPU {}\n", crashed);
  if (!cpu->stack) {
    indented(out, "not known: " + cpu->why_no_stack);
    return;
  }
  const TriageStack& stack = report.stacks[*cpu->stack];
  frames(out, stack, behind_panic(stack), kFrames);
}

std::string lock_text(const report::LockWait& lock) {
  return fmt::format("{} at {:#x}{}", lock.kind, lock.address,
                     lock.owner ? ", which task " + task_text(*lock.owner) + " holds" : "");
}

// "lock of the page at 0xffffea0000123400 (inode 12 of ext4 on vda)"
std::string io_text(const report::IoWait& io) {
  static const std::map<std::string, std::string, std::less<>> kWords{
      {"page_lock", "lock of the page"},
      {"page_writeback", "writeback of the page"},
      {"page_bit", "page"},
      {"buffer", "buffer"}};
  const auto word = kWords.find(io.kind);
  if (word == kWords.end()) {
    return "block I/O; which one is not known";
  }
  std::string text = word->second;
  text += io.address ? fmt::format(" at {:#x}", *io.address) : "";
  if (io.inode) {
    text += fmt::format(" (inode {} of {} on {})", *io.inode, io.file_system, io.device);
  } else if (io.block) {
    text += fmt::format(" (block {} of {})", *io.block, io.device);
  }
  return text;
}

// Who is in the run queue, if anybody waits there.
std::string queue_text(const report::RunQueue& queue) {
  std::vector<std::string> names;
  for (const report::QueuedTask& task : queue.tasks) {
    names.push_back(task_text(task.name) + (task.policy == "real-time" ? " (real-time)" : "") +
                    (task.delayed ? " (begins to sleep)" : ""));
  }
  return joined(names);
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
    std::vector<std::string> names;
    for (const TaskName& task : group.names) {
      names.push_back(task_text(task));
    }
    indented(out, shortened("  " + joined(names)));
    if (group.lock) {
      indented(out, "  for the " + lock_text(*group.lock));
    } else if (group.io) {
      indented(out, "  for the " + io_text(*group.io));
    }
  }
  if (tasks.waiting.size() > kGroups) {
    indented(out,
             fmt::format("... {} more stacks of waiting tasks", tasks.waiting.size() - kGroups));
  }
}

// The line behind the one with which the crash began: what follows is told above.
std::vector<std::string>::const_iterator end_of_story(const TriageReport& report) {
  const auto& lines = *report.log.value;
  constexpr std::size_t kTold = 60;
  const std::string told =
      report.panic.value ? report.panic.value->message.substr(0, kTold) : std::string();
  const auto last = std::find_if(lines.rbegin(), lines.rend(), [&](const std::string& text) {
    return !told.empty() && text.find(told) != std::string::npos;
  });
  return last == lines.rend() ? lines.end() : last.base();
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
  std::map<std::uint64_t, std::vector<const report::TriageTask*>> by_stack;
  out += "\ntasks\n       pid     tgid  cpu  state  comm\n";
  for (const report::TriageTask& task : report.tasks.value->list) {
    out += fmt::format("{}{:>9}{:>9}{:>5}  {:<5}  {}\n", task.on_cpu ? ">" : " ", task.name.pid,
                       task.name.tgid, task.cpu ? fmt::format("{}", *task.cpu) : "?",
                       printable(task.state), printable(task.name.comm));
    if (task.stack && !task.on_cpu) {
      by_stack[*task.stack].push_back(&task);
    }
  }
  for (const auto& [stack, tasks] : by_stack) {
    std::vector<std::string> names;
    for (const report::TriageTask* task : tasks) {
      names.push_back(task_text(task->name));
    }
    out += fmt::format("\n{} {}: {}\n", tasks.size(), tasks.size() == 1 ? "task" : "tasks",
                       printable(joined(names)));
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

// "inet stream tcp ESTABLISHED 192.0.2.1:80 to 192.0.2.2:40000"
std::string socket_text(const report::OpenSocket& socket) {
  std::string text = socket.family + " " + socket.type;
  for (const std::string* part : {&socket.protocol, &socket.state, &socket.local}) {
    text += part->empty() ? "" : " " + *part;
  }
  return text + (socket.remote.empty() ? "" : " to " + socket.remote);
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
  describe_panic(report, out);
  describe_kernel(report, out);
  describe_modules(report, out);
  describe_source(report, name, out);
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

}  // namespace vmcore::cli
