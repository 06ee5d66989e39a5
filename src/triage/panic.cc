// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/triage/panic.h"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "src/triage/fault.h"
#include "src/triage/log_report.h"
#include "src/triage/signature.h"

namespace vmcore::triage {
namespace {

using report::TriageFrame;

// Functions that only a dying kernel runs, from the innermost one outwards.
constexpr std::array<std::string_view, 6> kDying{"panic",       "vpanic",   "__crash_kexec",
                                                 "crash_kexec", "oops_end", "die"};

constexpr std::uint32_t kNoCpu = ~0U;  // PANIC_CPU_INVALID

bool is_dying(const TriageFrame& frame) {
  return frame.module.empty() && std::ranges::find(kDying, frame.function) != kDying.end();
}

// The CPU that the kernel itself names (panic_cpu, v4.5), or kNoCpu.
std::optional<unsigned> panic_cpu(const Knowledge& knowledge) {
  constexpr std::uint32_t kNone = ~0U;
  const auto symbol = knowledge.symbol("panic_cpu");
  const auto cpu =
      symbol ? knowledge.kernel.read_value<std::uint32_t>(*symbol) : tl::unexpected(symbol.error());
  return cpu && *cpu != kNone ? std::optional<unsigned>(*cpu) : std::nullopt;
}

const report::TriageStack* stack_of(const CpuFinding& cpu, const StackTable& stacks) {
  return cpu.cpu.stack ? &stacks.at(*cpu.cpu.stack) : nullptr;
}

const CpuFinding* dying_cpu(const std::vector<CpuFinding>& cpus, const StackTable& stacks) {
  for (const CpuFinding& cpu : cpus) {
    const auto* const stack = stack_of(cpu, stacks);
    if (stack != nullptr && std::ranges::any_of(stack->frames, is_dying)) {
      return &cpu;
    }
  }
  return nullptr;
}

report::CrashClass class_by_stack(const report::TriageStack& stack) {
  std::vector<std::string_view> functions;
  for (const TriageFrame& frame : stack.frames) {
    functions.push_back(frame.function);
  }
  return class_of_stack(functions);
}

// The frames that a signature is made of: those behind the panic's own, and where a function
// faulted, that and its callers.
std::vector<NamedFrame> guilty_frames(const report::TriageStack& stack,
                                      const std::optional<report::FaultingFunction>& fault) {
  auto begin = stack.frames.begin();
  for (auto each = begin; each != stack.frames.end(); ++each) {
    if (is_dying(*each)) {
      begin = std::next(each);
    }
  }
  if (fault) {
    begin = std::find_if(begin, stack.frames.end(), [&](const TriageFrame& frame) {
      return frame.exact && frame.function == fault->name;
    });
  }
  std::vector<NamedFrame> frames;
  for (; begin != stack.frames.end() && !begin->guessed; ++begin) {
    frames.push_back({begin->function, begin->offset, begin->module});
  }
  return frames;
}

report::CrashSignature signature_by_stack(const Knowledge& knowledge,
                                          const report::TriageStack& stack,
                                          const report::TriagePanic& panic) {
  const auto frames = guilty_frames(stack, panic.fault);
  return signature_of(panic.kind, frames, stack.broken.empty() && !frames.empty(),
                      knowledge.kernel.info().build_id().value_or(""));
}

// What the log tells of a kernel that died, or of one that hangs. A warning alone is no crash.
bool tells_of_crash(const LogTail& log) {
  using enum report::CrashClass;
  return log.crash && (!log.crash->panic.empty() || log.crash->report.oops ||
                       (log.crash->report.crash != warning && log.crash->report.crash != unknown));
}

report::TriagePanic as_logged(const LogTail& log) {
  if (!tells_of_crash(log)) {
    return {.kind = report::CrashClass::panic};
  }
  report::TriagePanic panic = panic_of(*log.crash);
  if (panic.kind == report::CrashClass::unknown) {
    panic.kind = report::CrashClass::panic;
  }
  return panic;
}

// `asked`: panic_cpu could be read.
report::Known<report::TriagePanic> no_panic(const LogTail& log, bool asked) {
  if (!asked && !log.lines.value) {
    return {.why_not = "neither the log nor panic_cpu can be read"};
  }
  std::string why = asked ? "the kernel has not panicked" : "the log tells of no panic";
  if (log.crash) {
    why += "; the log has: " + log.crash->report.sentence;
  }
  return {.why_not = std::move(why)};
}

}  // namespace

report::Known<report::TriagePanic> panic_by_log(const LogTail& log) {
  return tells_of_crash(log) ? report::Known<report::TriagePanic>{.value = as_logged(log)}
                             : no_panic(log, false);
}

PanicFinding find_panic(Knowledge& knowledge, const std::vector<CpuFinding>& cpus,
                        const StackTable& stacks, const LogTail& log) {
  report::TriagePanic panic = as_logged(log);
  const auto named = panic_cpu(knowledge);
  const CpuFinding* cpu = dying_cpu(cpus, stacks);
  if (cpu != nullptr) {
    panic.evidence.emplace_back("stack");
  }
  if (named && *named != kNoCpu) {
    panic.evidence.emplace_back("panic_cpu");
    panic.cpu = *named;
    const auto found = std::ranges::find(
        cpus, *named, [](const CpuFinding& finding) { return finding.cpu.number; });
    cpu = found != cpus.end() ? &*found : cpu;
  }
  if (panic.evidence.empty()) {
    return {.section = no_panic(log, named.has_value())};
  }
  if (cpu == nullptr) {
    return {.section = {.value = std::move(panic)}};
  }
  panic.cpu = cpu->cpu.number;
  panic.task = cpu->cpu.task ? cpu->cpu.task : panic.task;
  if (const auto* const stack = stack_of(*cpu, stacks)) {
    panic.fault =
        find_fault(knowledge, *cpu, *stack, panic.fault ? panic.fault->name : std::string());
    const auto told = class_by_stack(*stack);
    if (panic.kind == report::CrashClass::panic && told != report::CrashClass::unknown) {
      panic.kind = told;
    }
    auto signature = signature_by_stack(knowledge, *stack, panic);
    if (!signature.weak || !panic.signature) {
      panic.signature = std::move(signature);
    }
  }
  return {.section = {.value = std::move(panic)}, .cpu = cpu};
}

}  // namespace vmcore::triage
