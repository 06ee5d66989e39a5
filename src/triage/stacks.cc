// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/triage/stacks.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace vmcore::triage {
namespace {

constexpr std::uint64_t kWord = 8;
constexpr std::uint64_t kMaxStackBytes = 1 << 20;
constexpr std::size_t kMaxNames = 1 << 16;
// Of a frame in the document, without its names; a byte of a name may need 6.
constexpr std::uint64_t kFrameBytes = 300;
constexpr std::uint64_t kNameFactor = 6;

// init_task's stack is as large as any.
std::uint64_t stack_size(const Knowledge& knowledge) {
  using Names = std::pair<std::string_view, std::string_view>;
  constexpr std::array kBounds{
      Names{"__start_init_stack", "__end_init_stack"},  // v6.10 (8f69cba096b5)
      Names{"__start_init_task", "__end_init_task"},
  };
  for (const auto& [begin, end] : kBounds) {
    const auto bounds = knowledge.kallsyms.find({begin, end});
    if (bounds[0] && bounds[1] && *bounds[0] < *bounds[1]) {
      const std::uint64_t size = *bounds[1] - *bounds[0];
      return size <= kMaxStackBytes ? size : knowledge.arch.task_stack_bytes;
    }
  }
  return knowledge.arch.task_stack_bytes;
}

}  // namespace

StackPlaces::StackPlaces(Knowledge& knowledge) : task_stack_size_(stack_size(knowledge)) {
  constexpr std::size_t kMostCpus = 1024;  // of which stacks are named
  const std::size_t cpus = knowledge.per_cpu_offsets ? knowledge.per_cpu_offsets->size() : 0;
  for (std::size_t cpu = 0; cpu < std::min(cpus, kMostCpus); ++cpu) {
    add_irq_stack(knowledge, cpu);
    add_exception_stacks(knowledge, cpu);
  }
}

void StackPlaces::add(VirtAddr begin, std::uint64_t size, std::string name) {
  if (size != 0 && size <= kMaxStackBytes && begin.value < ~0ULL - size) {
    places_[begin.value] = {begin + size, std::move(name)};
  }
}

// hardirq_stack_ptr (v5.2, 758a2e312228) is the top of the stack, or since v5.8 the last word below
// it. It was a member of pcpu_hot from v6.2 (d7b6d709a76a) to v6.14.
void StackPlaces::add_irq_stack(Knowledge& knowledge, std::size_t cpu) {
  auto at = knowledge.per_cpu("hardirq_stack_ptr", cpu);
  if (!at) {
    const auto hot = knowledge.per_cpu("pcpu_hot", cpu);
    const auto field = knowledge.field("pcpu_hot.hardirq_stack_ptr");
    if (!hot || !field) {
      return;
    }
    at = *hot + field->offset();
  }
  const auto top = knowledge.kernel.read_value<std::uint64_t>(*at);
  const std::uint64_t size = knowledge.arch.irq_stack_bytes;
  if (top && *top > size) {
    const std::uint64_t end = (*top + kWord) & ~(kWord * 2 - 1);
    add({end - size}, size, "irq");
  }
}

// The per-CPU pointer cea_exception_stacks (v5.2, "Provide exception stack accessor").
void StackPlaces::add_exception_stacks(Knowledge& knowledge, std::size_t cpu) {
  constexpr std::array kStacks{
      std::pair{"DF", "#DF"},  std::pair{"NMI", "NMI"}, std::pair{"DB", "#DB"},
      std::pair{"MCE", "#MC"}, std::pair{"VC", "#VC"},  std::pair{"VC2", "#VC"},
  };
  const auto at = knowledge.per_cpu("cea_exception_stacks", cpu);
  const auto stacks =
      at ? knowledge.kernel.read_value<std::uint64_t>(*at) : tl::unexpected(at.error());
  if (!stacks || *stacks == 0) {
    return;
  }
  for (const auto& [member, name] : kStacks) {
    const auto field = knowledge.field(fmt::format("cea_exception_stacks.{}_stack", member));
    if (field) {
      add({*stacks + field->offset()}, field->size, name);
    }
  }
}

std::string StackPlaces::name_of(VirtAddr sp, VirtAddr task_stack) const {
  if (task_stack.value != 0 && sp >= task_stack && sp - task_stack <= task_stack_size_) {
    return "task";
  }
  const auto behind = places_.upper_bound(sp.value);
  if (behind == places_.begin()) {
    return {};
  }
  const Place& place = std::prev(behind)->second;
  return sp <= place.end ? place.name : std::string();
}

const kernel::NamedAddress* StackTable::name_of(VirtAddr code) {
  if (names_.size() > kMaxNames) {
    names_.clear();
  }
  auto [found, is_new] = names_.try_emplace(code.value);
  if (is_new) {
    found->second = knowledge_->symbols.at(code);
  }
  return found->second ? &*found->second : nullptr;
}

// A call may be the last instruction of its function: of a return address the symbol of the byte
// before counts.
report::TriageFrame StackTable::frame(const kernel::StackFrame& frame, VirtAddr task_stack) {
  report::TriageFrame named{.address = frame.code.value,
                            .exact = frame.exact,
                            .guessed = frame.guessed,
                            .stack = places_.name_of(frame.sp, task_stack)};
  const std::uint64_t back = frame.exact || frame.code.value == 0 ? 0 : 1;
  if (const auto* const name = name_of({frame.code.value - back})) {
    named.function = name->symbol;
    named.module = name->module;
    named.offset = name->offset + back;
    named.size = name->size;
  }
  return named;
}

std::optional<std::uint64_t> StackTable::add(const kernel::Backtrace& trace, VirtAddr task_stack) {
  report::TriageStack stack{.broken = trace.broken ? trace.broken->message : ""};
  std::string key = stack.broken;
  std::uint64_t bytes = kFrameBytes;
  for (const kernel::StackFrame& each : trace.frames) {
    stack.frames.push_back(frame(each, task_stack));
    const report::TriageFrame& added = stack.frames.back();
    key += fmt::format(" {:x}{}{}", added.address, added.stack, added.exact ? "!" : "");
    bytes += kFrameBytes + kNameFactor * (added.function.size() + added.module.size());
  }
  if (const auto known = known_.find(key); known != known_.end()) {
    return known->second;
  }
  if (bytes > room_ || stacks_.size() == report::kMaxStacks) {
    ++left_out_;
    return std::nullopt;
  }
  room_ -= bytes;
  known_.emplace(std::move(key), stacks_.size());
  stacks_.push_back(std::move(stack));
  return stacks_.size() - 1;
}

}  // namespace vmcore::triage
