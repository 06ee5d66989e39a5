// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/triage/panic_stack.h"

#include <algorithm>
#include <span>
#include <utility>

#include "src/image/page.h"
#include "src/triage/fault.h"

namespace vmcore::triage {
namespace {

constexpr std::uint64_t kWord = 8;
// A frame that is longer goes on in another stack.
constexpr std::uint64_t kMostOfFrame = 16 << 10;
// Behind the last stack pointer, or that of the last frame of one stack; no more than its page.
constexpr std::uint64_t kBehindLast = 512;

// Of the frame: what lies between its stack pointer and that of its caller.
std::uint64_t size_of(const std::vector<kernel::StackFrame>& frames, std::size_t i) {
  const bool is_last = i + 1 == frames.size() || frames[i + 1].sp <= frames[i].sp;
  const std::uint64_t size = is_last ? kMostOfFrame + 1 : frames[i + 1].sp - frames[i].sp;
  const std::uint64_t behind = std::min(kBehindLast, kPageSize - frames[i].sp.value % kPageSize);
  return (size > kMostOfFrame ? behind : size) / kWord * kWord;
}

}  // namespace

std::optional<report::PanicStack> panic_stack(const Knowledge& knowledge,
                                              const PanicFinding& panic) {
  const CpuFinding* const cpu = panic.cpu;
  if (cpu == nullptr || !cpu->cpu.stack || !panic.section.value || panic.section.value->stack) {
    return std::nullopt;
  }
  report::PanicStack stack{.stack = *cpu->cpu.stack};
  const auto& frames = cpu->trace.frames;
  std::size_t words = 0;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    report::FrameState state{.address = frames[i].code.value, .sp = frames[i].sp.value};
    if (i == 0) {
      state.registers = cpu->cpu.registers;
    } else if (frames[i].exact && frames[i].registers && frames[i].all_registers) {
      state.registers = saved_registers(knowledge, *frames[i].registers)
                            .value_or(std::vector<report::NamedRegister>());
    }
    stack.frames.push_back(std::move(state));
    report::StackPart part{.address = frames[i].sp.value};
    part.words.resize(
        std::min<std::size_t>(size_of(frames, i) / kWord, report::kMaxStackWords - words));
    if (knowledge.kernel.read_exactly(frames[i].sp,
                                      std::as_writable_bytes(std::span(part.words)))) {
      words += part.words.size();
      stack.parts.push_back(std::move(part));
    }
  }
  return stack;
}

}  // namespace vmcore::triage
