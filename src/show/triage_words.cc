// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/show/triage_words.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <iterator>
#include <map>
#include <string_view>
#include <utility>

namespace vmcore::show {
namespace {

using report::TaskName;
using report::TriageFrame;
using report::TriageReport;
using report::TriageStack;

constexpr std::size_t kChain = 5;

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

std::string arguments_text(const report::FaultingFunction& fault) {
  std::string text;
  for (const report::Argument& argument : fault.arguments) {
    text += fmt::format("{}{} {} = {:#x}", text.empty() ? "" : ", ", argument.type, argument.name,
                        argument.value);
  }
  return fmt::format("{}({}), as in the registers now", fault.name, text);
}

std::string place_text(const report::TriagePanic& panic) {
  std::string where = panic.cpu ? fmt::format("CPU {}", *panic.cpu) : "an unknown CPU";
  if (panic.task) {
    where += ", task " + task_text(*panic.task);
  }
  return where + (panic.fault ? ", in " + panic.fault->name : "");
}

void tell_panic(const TriageReport& report, std::vector<Fact>& facts) {
  if (!report.panic.value) {
    facts.push_back({"crash", "none known: " + report.panic.why_not});
    return;
  }
  const report::TriagePanic& panic = *report.panic.value;
  facts.push_back(
      {"crash", fmt::format("{} (by {})", crash_title(panic), evidence_text(panic.evidence))});
  if (!panic.message.empty()) {
    facts.push_back({"message", panic.message});
  }
  facts.push_back({"where", place_text(panic)});
  if (panic.fault && !panic.fault->arguments.empty()) {
    facts.push_back({"arguments", arguments_text(*panic.fault)});
  }
  if (panic.signature) {
    const report::CrashSignature& signature = *panic.signature;
    facts.push_back(
        {"signature",
         fmt::format("family {}{}{}", signature.family,
                     signature.exact.empty() ? "" : ", exact " + signature.exact,
                     signature.weak ? " (weak: crashes of other kinds may have it)" : "")});
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

void tell_kernel(const TriageReport& report, std::vector<Fact>& facts) {
  if (!report.kernel.value) {
    facts.push_back({"kernel", "not known: " + report.kernel.why_not});
    return;
  }
  const report::TriageKernel& kernel = *report.kernel.value;
  facts.push_back(
      {"kernel",
       kernel.release + (kernel.uptime_seconds ? ", up " + duration(*kernel.uptime_seconds) : "")});
  if (!kernel.build_id.empty()) {
    facts.push_back({"build-id", kernel.build_id});
  }
  if (kernel.taint_mask && kernel.taints.empty()) {
    facts.push_back({"taint", "none"});
  }
  for (const report::Taint& taint : kernel.taints) {
    facts.push_back({"taint", fmt::format("{}: {}", taint.letter, taint.meaning)});
  }
}

std::string modules_text(const TriageReport& report) {
  if (!report.modules.value) {
    return "not known: " + report.modules.why_not;
  }
  std::vector<std::string> foreign;
  for (const report::TriageModule& module : *report.modules.value) {
    if (module.out_of_tree) {
      foreign.push_back(fmt::format("{} ({})", module.name, module.taints));
    }
  }
  return fmt::format("{}{}", report.modules.value->size(),
                     foreign.empty() ? "" : "; not of the kernel: " + joined(foreign));
}

void tell_source(const TriageReport& report, const std::string& name, std::vector<Fact>& facts) {
  std::string text = name + (report.format.empty() ? "" : ", " + report.format);
  if (!report.consistency.empty()) {
    text += ", consistency " + report.consistency;
  }
  facts.push_back({"from", text});
  if (report.consistency == "torn") {
    facts.push_back({"torn", "the guest ran while it was read: parts may contradict each other"});
  }
  if (report.incomplete) {
    facts.push_back({"complete", "NO: parts are missing"});
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

}  // namespace

std::string task_text(const TaskName& task) { return fmt::format("{} {}", task.pid, task.comm); }

std::string frame_text(const TriageFrame& frame) {
  return text_of(frame) + (frame.guessed ? "  (guessed)" : "");
}

std::vector<std::string> source_texts(const TriageFrame& frame) {
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < frame.lines.size(); ++i) {
    const report::SourceLine& line = frame.lines[i];
    const bool inlined = i + 1 < frame.lines.size();
    texts.push_back(fmt::format(
        "{}{}at {}:{}", inlined || line.function != frame.function ? line.function + " " : "",
        inlined ? "inlined " : "", line.file, line.line));
  }
  std::string arguments;
  for (const report::Argument& each : frame.arguments) {
    arguments +=
        fmt::format("{}{} = {:#x}", arguments.empty() ? "with " : ", ", each.name, each.value);
  }
  if (!arguments.empty()) {
    texts.push_back(std::move(arguments));
  }
  return texts;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i) {
    text += (i == 0 ? "" : i + 1 == words.size() ? " and " : ", ") + words[i];
  }
  return text;
}

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

std::string crash_title(const report::TriagePanic& panic) {
  return panic.signature && !panic.signature->title.empty()
             ? panic.signature->title
             : std::string(crash_class_title(panic.kind));
}

std::vector<Fact> facts_of(const TriageReport& report, const std::string& name) {
  std::vector<Fact> facts;
  tell_panic(report, facts);
  tell_kernel(report, facts);
  facts.push_back({"modules", modules_text(report)});
  tell_source(report, name, facts);
  return facts;
}

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

std::uint64_t crashed_cpu(const TriageReport& report) {
  return report.panic.value && report.panic.value->cpu ? *report.panic.value->cpu : ~0ULL;
}

CrashStack crash_stack(const TriageReport& report) {
  if (report.panic.value && report.panic.value->stack) {
    return {.title = "stack of the crash", .stack = &report.stacks[*report.panic.value->stack]};
  }
  if (!report.cpus.value) {
    return {};
  }
  const std::uint64_t crashed = crashed_cpu(report);
  const auto cpu = std::ranges::find(*report.cpus.value, crashed, &report::TriageCpu::number);
  if (cpu == report.cpus.value->end()) {
    return {};
  }
  return {.title = fmt::format("stack of CPU {}", crashed),
          .stack = cpu->stack ? &report.stacks[*cpu->stack] : nullptr,
          .why_not = cpu->why_no_stack};
}

std::string lock_text(const report::LockWait& lock) {
  return fmt::format("{} at {:#x}{}", lock.kind, lock.address,
                     lock.owner ? ", which task " + task_text(*lock.owner) + " holds" : "");
}

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

std::string wait_text(const report::WaitingGroup& group) {
  return group.lock ? lock_text(*group.lock) : group.io ? io_text(*group.io) : std::string();
}

std::string names_text(const std::vector<TaskName>& tasks) {
  std::vector<std::string> names;
  for (const TaskName& task : tasks) {
    names.push_back(task_text(task));
  }
  return joined(names);
}

std::string queue_text(const report::RunQueue& queue) {
  std::vector<std::string> names;
  for (const report::QueuedTask& task : queue.tasks) {
    names.push_back(task_text(task.name) + (task.policy == "real-time" ? " (real-time)" : "") +
                    (task.delayed ? " (begins to sleep)" : ""));
  }
  return joined(names);
}

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

std::string socket_text(const report::OpenSocket& socket) {
  std::string text = socket.family + " " + socket.type;
  for (const std::string* part : {&socket.protocol, &socket.state, &socket.local}) {
    text += part->empty() ? "" : " " + *part;
  }
  return text + (socket.remote.empty() ? "" : " to " + socket.remote);
}

}  // namespace vmcore::show
