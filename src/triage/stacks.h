// SPDX-License-Identifier: GPL-2.0-or-later
// The stacks of a report: frames with names, and each stack once.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "src/report/triage.h"
#include "src/triage/knowledge.h"

namespace vmcore::triage {

// Where the kernel's stacks lie.
class StackPlaces {
 public:
  explicit StackPlaces(Knowledge& knowledge);

  // What kind of stack the address lies on, if not on the task stack that begins at `task_stack`:
  // "irq", "NMI", "#DF" ...; empty where it is not known.
  std::string name_of(VirtAddr sp, VirtAddr task_stack) const;
  std::uint64_t task_stack_size() const { return task_stack_size_; }

 private:
  struct Place {
    VirtAddr end;
    std::string name;
  };
  void add(VirtAddr begin, std::uint64_t size, std::string name);
  void add_irq_stack(Knowledge& knowledge, std::size_t cpu);
  void add_exception_stacks(Knowledge& knowledge, std::size_t cpu);

  std::uint64_t task_stack_size_;
  std::map<std::uint64_t, Place> places_;  // by their lowest address
};

// Not thread-safe.
class StackTable {
 public:
  explicit StackTable(Knowledge& knowledge) : knowledge_(&knowledge), places_(knowledge) {}

  // The number of the stack in the list; nothing if the report has no room for it.
  std::optional<std::uint64_t> add(const kernel::Backtrace& trace, VirtAddr task_stack);

  const report::TriageStack& at(std::uint64_t number) const { return stacks_.at(number); }
  std::uint64_t left_out() const { return left_out_; }
  std::vector<report::TriageStack> take() { return std::move(stacks_); }
  const StackPlaces& places() const { return places_; }

 private:
  report::TriageFrame frame(const kernel::StackFrame& frame, VirtAddr task_stack);
  const kernel::NamedAddress* name_of(VirtAddr code);

  Knowledge* knowledge_;
  StackPlaces places_;
  std::vector<report::TriageStack> stacks_;
  std::map<std::string, std::uint64_t> known_;  // by what tells a stack from others
  std::unordered_map<std::uint64_t, std::optional<kernel::NamedAddress>> names_;
  std::uint64_t room_ = 6U << 20;  // bytes of the document
  std::uint64_t left_out_ = 0;
};

}  // namespace vmcore::triage
