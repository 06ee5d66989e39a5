// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/triage/panic.h"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string_view>

#include "src/triage/fault.h"
#include "src/triage/signature.h"

namespace vmcore::triage {
namespace {

using report::TriageFrame;

// Functions that only a dying kernel runs, from the innermost one outwards.
constexpr std::array<std::string_view, 6> kDying{"panic",       "vpanic",   "__crash_kexec",
                                                 "crash_kexec", "oops_end", "die"};

bool is_dying(const TriageFrame& frame) {
  return frame.module.empty() && std::ranges::find(kDying, frame.function) != kDying.end();
}

// The CPU that the kernel itself names: panic_cpu (v4.5, 1717f2096b54), PANIC_CPU_INVALID without
// one.
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

report::CrashClass class_by_stack(const report::TriageStack* stack) {
  std::vector<std::string_view> functions;
  if (stack != nullptr) {
    for (const TriageFrame& frame : stack->frames) {
      functions.push_back(frame.function);
    }
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

void add_signature(const Knowledge& knowledge, const report::TriageStack& stack,
                   report::TriagePanic& panic) {
  const auto frames = guilty_frames(stack, panic.fault);
  const Signature signature =
      signature_of(panic.kind, frames, stack.broken.empty() && !frames.empty(),
                   knowledge.kernel.info().build_id().value_or(""));
  panic.signature = report::CrashSignature{.exact = signature.exact,
                                           .family = signature.family,
                                           .title = signature.title,
                                           .weak = signature.weak};
}

}  // namespace

report::Known<report::TriagePanic> panic_by_log(const LogTail& log) {
  if (log.panic.empty()) {
    return {.why_not = "the log tells of no panic"};
  }
  return {.value = report::TriagePanic{
              .message = log.panic, .kind = report::CrashClass::panic, .evidence = {"log"}}};
}

PanicFinding find_panic(Knowledge& knowledge, const std::vector<CpuFinding>& cpus,
                        const StackTable& stacks, const LogTail& log) {
  report::TriagePanic panic{.message = log.panic};
  const auto named = panic_cpu(knowledge);
  const CpuFinding* cpu = dying_cpu(cpus, stacks);
  if (named) {
    panic.evidence.emplace_back("panic_cpu");
    panic.cpu = *named;
    const auto found = std::ranges::find(
        cpus, *named, [](const CpuFinding& finding) { return finding.cpu.number; });
    cpu = found != cpus.end() ? &*found : cpu;
  }
  if (!log.panic.empty()) {
    panic.evidence.emplace_back("log");
  }
  if (cpu != nullptr && dying_cpu(cpus, stacks) != nullptr) {
    panic.evidence.emplace_back("stack");
  }
  if (panic.evidence.empty()) {
    return {.section = {.why_not = "the kernel has not panicked"}};
  }
  if (cpu != nullptr) {
    panic.cpu = cpu->cpu.number;
    panic.task = cpu->cpu.task;
  }
  const auto* const stack = cpu != nullptr ? stack_of(*cpu, stacks) : nullptr;
  panic.kind = class_by_stack(stack);
  if (panic.kind == report::CrashClass::unknown) {
    panic.kind = report::CrashClass::panic;
  }
  if (stack != nullptr) {
    panic.fault = find_fault(knowledge, cpu->trace, *stack);
    add_signature(knowledge, *stack, panic);
  }
  return {.section = {.value = std::move(panic)}, .cpu = cpu};
}

}  // namespace vmcore::triage
