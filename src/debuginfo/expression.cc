// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/debuginfo/expression.h"

#include <dwarf.h>

#include <array>
#include <cstdlib>
#include <memory>
#include <vector>

namespace vmcore::debuginfo {
namespace {

using Number = std::optional<std::uint64_t>;

constexpr std::size_t kMostSteps = 64;
constexpr std::uint64_t kWord = 8;
constexpr std::uint64_t kStackPointer = 7, kReturnAddress = 16;

Number register_of(const CodeState& state, std::uint64_t number) {
  return number < state.registers.size() ? state.registers[number] : std::nullopt;
}

Number plus(const Number& base, std::uint64_t offset) {
  return base ? Number(*base + offset) : std::nullopt;
}

std::uint64_t cut(std::uint64_t value, std::uint64_t size) {
  return size >= kWord ? value : value & ((std::uint64_t{1} << 8 * size) - 1);
}

Number read(const CodeState& state, std::uint64_t address, std::uint64_t size) {
  return state.memory == nullptr ? std::nullopt : state.memory->read(address, size);
}

class Machine {
 public:
  explicit Machine(const CodeState& state) : state_(state) {}

  // False where it is not known what the step does.
  bool step(const Dwarf_Op& op) {
    if (op.atom >= DW_OP_lit0 && op.atom <= DW_OP_lit31) {
      return push(op.atom - DW_OP_lit0);
    }
    if (op.atom >= DW_OP_breg0 && op.atom <= DW_OP_breg31) {
      return push(plus(register_of(state_, op.atom - DW_OP_breg0), op.number));
    }
    if (op.atom >= DW_OP_const1u && op.atom <= DW_OP_consts) {
      return push(op.number);
    }
    switch (op.atom) {
      case DW_OP_bregx:
        return push(plus(register_of(state_, op.number), op.number2));
      case DW_OP_fbreg:
        return push(plus(state_.frame_base, op.number));
      case DW_OP_call_frame_cfa:
        return push(state_.cfa);
      case DW_OP_plus_uconst:
        return push(plus(pop(), op.number));
      case DW_OP_deref:
      case DW_OP_deref_size: {
        const Number address = pop();
        const std::uint64_t size = op.atom == DW_OP_deref ? kWord : op.number;
        return push(address ? read(state_, *address, size) : std::nullopt);
      }
      default:
        return combine(op.atom);
    }
  }

  Number pop() {
    if (values_.empty()) {
      return std::nullopt;
    }
    const std::uint64_t value = values_.back();
    values_.pop_back();
    return value;
  }

 private:
  bool push(const Number& value) {
    if (value) {
      values_.push_back(*value);
    }
    return value.has_value();
  }

  bool combine(unsigned atom) {
    const Number second = pop();
    const Number first = pop();
    if (!first || !second) {
      return false;
    }
    switch (atom) {
      case DW_OP_plus:
        return push(*first + *second);
      case DW_OP_minus:
        return push(*first - *second);
      case DW_OP_and:
        return push(*first & *second);
      case DW_OP_or:
        return push(*first | *second);
      case DW_OP_shl:
        return push(*second < 64 ? *first << *second : 0);
      case DW_OP_shr:
        return push(*second < 64 ? *first >> *second : 0);
      default:
        return false;
    }
  }

  const CodeState& state_;
  std::vector<std::uint64_t> values_;
};

// Of a rule for a register: nothing after it describes an address in memory.
Number register_in_caller(Dwarf_Frame* frame, int number, const CodeState& state) {
  std::array<Dwarf_Op, 3> room{};
  Dwarf_Op* rule = nullptr;
  std::size_t count = 0;
  if (::dwarf_frame_register(frame, number, room.data(), &rule, &count) != 0) {
    return std::nullopt;
  }
  if (count != 0) {
    return value_of({rule, count}, state, kWord);
  }
  const bool is_same = rule == nullptr;
  return is_same ? register_of(state, static_cast<std::uint64_t>(number)) : std::nullopt;
}

}  // namespace

std::optional<std::uint64_t> value_of(std::span<const Dwarf_Op> location, const CodeState& state,
                                      std::uint64_t size) {
  if (location.empty() || location.size() > kMostSteps || size == 0 || size > kWord) {
    return std::nullopt;
  }
  const Dwarf_Op& first = location.front();
  const bool is_register = first.atom >= DW_OP_reg0 && first.atom <= DW_OP_reg31;
  if (is_register || first.atom == DW_OP_regx) {
    const Number value = register_of(state, is_register ? first.atom - DW_OP_reg0 : first.number);
    return value && location.size() == 1 ? Number(cut(*value, size)) : std::nullopt;
  }
  const bool is_value = location.back().atom == DW_OP_stack_value;
  Machine machine(state);
  for (const Dwarf_Op& op : location.first(location.size() - (is_value ? 1 : 0))) {
    if (!machine.step(op)) {
      return std::nullopt;
    }
  }
  const Number result = machine.pop();
  return !result    ? std::nullopt
         : is_value ? Number(cut(*result, size))
                    : read(state, *result, size);
}

std::optional<CodeRegisters> unwind(Dwarf_CFI* information, Dwarf_Addr address, CodeState& state) {
  Dwarf_Frame* found = nullptr;
  if (information == nullptr || ::dwarf_cfi_addrframe(information, address, &found) != 0) {
    return std::nullopt;
  }
  const std::unique_ptr<Dwarf_Frame, decltype(&::free)> frame(found, &::free);
  Dwarf_Op* rule = nullptr;
  std::size_t count = 0;
  if (::dwarf_frame_cfa(frame.get(), &rule, &count) != 0 || count == 0) {
    return std::nullopt;
  }
  // The rule computes the address itself, not what is there.
  std::vector<Dwarf_Op> computes(rule, rule + count);
  computes.push_back({.atom = DW_OP_stack_value, .number = 0, .number2 = 0, .offset = 0});
  state.cfa = value_of(computes, state, kWord);
  if (!state.cfa) {
    return std::nullopt;
  }
  CodeRegisters caller;
  for (std::size_t i = 0; i < caller.size(); ++i) {
    caller[i] = register_in_caller(frame.get(), static_cast<int>(i), state);
  }
  caller[kStackPointer] = state.cfa;
  return caller[kReturnAddress] ? std::optional(caller) : std::nullopt;
}

}  // namespace vmcore::debuginfo
