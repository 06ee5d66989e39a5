// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/kernel/arch/x86_64_unwind.h"

#include <algorithm>
#include <array>
#include <set>
#include <span>

#include "src/kernel/arch/arch.h"

namespace vmcore::kernel {
namespace {

constexpr std::size_t kMaxFrames = 512;
constexpr std::size_t kMaxFound = 1 << 16;  // entries that are remembered
constexpr std::uint64_t kWord = 8;

// struct pt_regs, which is the same since v2.6.
constexpr std::uint64_t kR13 = 16, kBp = 32, kR10 = 56, kAx = 80, kDx = 96, kDi = 112, kIp = 128,
                        kCs = 136, kSp = 152;

// A call of a NULL pointer: only the return address is on the stack.
constexpr OrcEntry kOfNull{OrcRegister::sp, OrcRegister::undefined, 8, 0, OrcType::call, false};
// Code with a frame pointer that no table covers (orc_fp_entry, v5.2).
constexpr OrcEntry kOfFramePointer{
    OrcRegister::bp, OrcRegister::previous_sp, 16, -16, OrcType::call, false};

std::uint64_t plus(std::uint64_t address, std::int16_t offset) {
  return address + static_cast<std::uint64_t>(std::int64_t{offset});
}

}  // namespace

struct Unwinder::State {
  std::uint64_t ip = 0;
  std::uint64_t sp = 0;
  std::uint64_t bp = 0;
  bool exact = false;
  bool guessed = false;
  std::optional<VirtAddr> registers;
  bool all_registers = false;
  std::optional<VirtAddr> registers_before;  // the last complete ones

  std::optional<OrcEntry> entry_before(const Unwinder& unwinder) const;
};

// crash_setup_regs() saves the address of a label (v4.20, and before with inline assembly), which
// gcc may put behind the call that never returns: no code is there, and no entry. SP is that of the
// function: an entry before fits by which a call is found.
std::optional<OrcEntry> Unwinder::State::entry_before(const Unwinder& unwinder) const {
  constexpr std::uint64_t kFarthest = 512;
  for (std::uint64_t code = ip - 1; exact && code > ip - kFarthest; --code) {
    const auto entry = unwinder.find({code});
    if (!entry || entry->type != OrcType::call || entry->sp_register != OrcRegister::sp) {
      continue;
    }
    const auto caller = unwinder.word(plus(sp, entry->sp_offset) - kWord);
    if (caller && *caller >= unwinder.kernel_->arch().kernel_map.value &&
        unwinder.is_behind_call(*caller) && unwinder.find({*caller - 1})) {
      return *entry;
    }
  }
  return std::nullopt;
}

bool Unwinder::Part::covers(VirtAddr code) const {
  const auto contains = [&](const Module::Range& range) {
    return code >= range.begin && code - range.begin < range.size;
  };
  return table.covers(code) && (ranges.empty() || std::ranges::any_of(ranges, contains));
}

Result<Unwinder> Unwinder::make(const GuestKernel& kernel, const Kallsyms& kallsyms, const Btf* btf,
                                const std::vector<Module>& modules) {
  Unwinder unwinder(kernel);
  TRY_ASSIGN(OrcTable table, OrcTable::of_kernel(kernel, kallsyms));
  const OrcForm form = table.form();
  unwinder.parts_.push_back({std::move(table), {}});
  for (const Module& module : modules) {
    auto of_module = OrcTable::of_module(kernel, module, form);
    if (of_module) {
      unwinder.parts_.push_back({*std::move(of_module), module.ranges});
    }
  }
  if (btf != nullptr) {
    const auto size = btf->size_of("inactive_task_frame");
    const auto bp = btf->field("inactive_task_frame.bp");
    const auto code = btf->field("inactive_task_frame.ret_addr");
    if (size && bp && code) {
      unwinder.inactive_ = InactiveFrame{*size, bp->offset(), code->offset()};
    }
  }
  const auto init = kallsyms.find({"_sinittext", "_einittext"});
  if (init[0] && init[1]) {
    unwinder.init_text_ = {init[0]->value, init[1]->value};
  }
  for (const auto& symbol : kallsyms.find({"ret_from_fork", "ret_from_fork_asm"})) {
    if (symbol) {
      unwinder.beginnings_.push_back(*symbol);
    }
  }
  return unwinder;
}

Result<OrcEntry> Unwinder::find(VirtAddr code) const {
  const auto found = found_.find(code.value);
  if (found != found_.end()) {
    return found->second;
  }
  TRY_ASSIGN(const OrcEntry entry, look_up(code));
  if (found_.size() == kMaxFound) {
    found_.clear();
  }
  found_.emplace(code.value, entry);
  return entry;
}

Result<OrcEntry> Unwinder::look_up(VirtAddr code) const {
  for (const Part& part : parts_) {
    if (part.covers(code)) {
      return part.table.find(code);
    }
  }
  return fail(Errc::not_found, "no ORC entry for the code at {:#x}", code.value);
}

Result<OrcEntry> Unwinder::entry_for(State& state) const {
  if (state.ip == 0) {
    return kOfNull;
  }
  auto entry = find({state.exact ? state.ip : state.ip - 1});
  if (!entry && entry.error().code == Errc::not_found && !state.guessed) {
    state.guessed = true;
    return kOfFramePointer;
  }
  const auto before =
      entry && entry->type == OrcType::undefined ? state.entry_before(*this) : std::nullopt;
  if (before) {
    return *before;
  }
  if (entry && entry->type == OrcType::undefined) {
    return fail(Errc::not_found, "no ORC entry for the code at {:#x}", state.ip);
  }
  return entry;
}

Result<std::uint64_t> Unwinder::word(std::uint64_t address) const {
  return kernel_->read_value<std::uint64_t>({address});
}

Result<std::uint64_t> Unwinder::register_of(const State& state, std::uint64_t offset) const {
  if (state.registers && state.all_registers) {
    return word(state.registers->value + offset);
  }
  if (state.registers && state.registers_before) {
    return word(state.registers_before->value + offset);
  }
  return fail(Errc::malformed, "the frame at {:#x} needs a register that is not known", state.sp);
}

Result<std::uint64_t> Unwinder::stack_pointer(const State& state, const OrcEntry& entry) const {
  switch (entry.sp_register) {
    case OrcRegister::sp:
      return plus(state.sp, entry.sp_offset);
    case OrcRegister::bp:
      return plus(state.bp, entry.sp_offset);
    case OrcRegister::indirect_sp: {
      // v5.12 (87ccc826bf1c); before it the offset was added first, and no entry had this register.
      TRY_ASSIGN(const std::uint64_t sp, word(state.sp));
      return plus(sp, entry.sp_offset);
    }
    case OrcRegister::indirect_bp:
      return word(plus(state.bp, entry.sp_offset));
    case OrcRegister::ax:
      return register_of(state, kAx);
    case OrcRegister::dx:
      return register_of(state, kDx);
    case OrcRegister::di:
      return register_of(state, kDi);
    case OrcRegister::r10:
      return register_of(state, kR10);
    case OrcRegister::r13:
      return register_of(state, kR13);
    default:
      return fail(Errc::malformed, "ORC: an unknown register at {:#x}", state.ip);
  }
}

Result<> Unwinder::take_registers(State& state, VirtAddr registers, bool all) const {
  constexpr std::uint64_t kKernelCs = 0x10;
  TRY_ASSIGN(const std::uint64_t cs, word(registers.value + kCs));
  if ((cs & 0xffff) != kKernelCs && (cs & 3) != 3) {
    return fail(Errc::malformed, "no registers were saved at {:#x}", registers.value);
  }
  TRY_ASSIGN(state.ip, word(registers.value + kIp));
  TRY_ASSIGN(state.sp, word(registers.value + kSp));
  if (all) {
    state.registers_before.reset();
  } else if (state.registers && state.all_registers) {
    state.registers_before = state.registers;
  }
  state.registers = registers;
  state.all_registers = all;
  return {};
}

Result<> Unwinder::find_bp(State& state, const OrcEntry& entry, std::uint64_t sp) const {
  switch (entry.bp_register) {
    case OrcRegister::undefined: {
      // Unchanged; after an interrupt its value is in the registers that were saved.
      if (const auto bp = register_of(state, kBp)) {
        state.bp = *bp;
      }
      return {};
    }
    case OrcRegister::previous_sp: {
      TRY_ASSIGN(state.bp, word(plus(sp, entry.bp_offset)));
      return {};
    }
    case OrcRegister::bp: {
      TRY_ASSIGN(state.bp, word(plus(state.bp, entry.bp_offset)));
      return {};
    }
    default:
      return fail(Errc::malformed, "ORC: an unknown register at {:#x}", state.ip);
  }
}

// Intel SDM, volume 2, CALL: E8 with 32 bits, or FF /2 with an operand of 0 to 5 more bytes; and
// LRETQ, by which secondary_startup_64() of older kernels calls. __init functions are freed.
bool Unwinder::is_behind_call(std::uint64_t code) const {
  constexpr std::size_t kLongest = 7;
  const auto known = calls_.find(code);
  if (known != calls_.end()) {
    return known->second;
  }
  std::array<std::uint8_t, kLongest> bytes{};
  bool call = true;  // where the code cannot be read
  if (!init_text_.contains(code) &&
      kernel_->read_exactly({code - kLongest}, std::as_writable_bytes(std::span(bytes)))) {
    const auto before = [&](std::size_t back) { return bytes[kLongest - back]; };
    const auto indirect = [&](std::size_t back) {
      return before(back) == 0xff && (before(back - 1) >> 3 & 7) == 2;
    };
    call = before(5) == 0xe8 || indirect(2) || indirect(3) || indirect(4) || indirect(6) ||
           indirect(7) || (before(2) == 0x48 && before(1) == 0xcb);
  }
  if (calls_.size() == kMaxFound) {
    calls_.clear();
  }
  calls_.emplace(code, call);
  return call;
}

// Where an entry or the stack was damaged, other words are taken for return addresses. A probe may
// have replaced the call, so known code is not refused.
Result<> Unwinder::check_return(State& state) const {
  if (state.ip < kernel_->arch().kernel_map.value) {
    return fail(Errc::malformed, "the return address {:#x} at {:#x} is no code", state.ip,
                state.sp - kWord);
  }
  if (!is_behind_call(state.ip)) {
    TRY(find({state.ip - 1}));
    state.guessed = true;
  }
  return {};
}

Result<bool> Unwinder::step(State& state) const {
  if (state.registers) {
    TRY_ASSIGN(const std::uint64_t cs, word(state.registers->value + kCs));
    if ((cs & 3) == 3) {
      return false;
    }
  }
  TRY_ASSIGN(const OrcEntry entry, entry_for(state));
  if (entry.type == OrcType::end_of_stack) {
    return false;
  }
  TRY_ASSIGN(const std::uint64_t sp, stack_pointer(state, entry));
  const bool upwards = sp > state.sp;
  switch (entry.type) {
    case OrcType::call: {
      TRY_ASSIGN(state.ip, word(sp - kWord));
      state.sp = sp;
      state.registers.reset();
      state.registers_before.reset();
      TRY(check_return(state));
      break;
    }
    case OrcType::registers:
      TRY(take_registers(state, {sp}, true));
      break;
    case OrcType::partial:
      TRY(take_registers(state, {sp - kIp}, false));
      break;
    default:
      return fail(Errc::malformed, "ORC: an unknown entry at {:#x}", state.ip);
  }
  state.exact = entry.signal;
  if (entry.type == OrcType::call && entry.sp_register == OrcRegister::sp && !upwards) {
    return fail(Errc::malformed, "the stack goes down at {:#x}", sp);
  }
  TRY(find_bp(state, entry, sp));
  return true;
}

Backtrace Unwinder::unwind(State state) const {
  Backtrace trace;
  std::set<std::uint64_t> stacks;
  for (;;) {
    if (trace.frames.size() == kMaxFrames) {
      trace.broken = Error{Errc::limit, fmt::format("more than {} frames", kMaxFrames)};
      return trace;
    }
    if (!stacks.insert(state.sp).second) {
      trace.broken = Error{Errc::malformed, fmt::format("the stack comes back to {:#x}", state.sp)};
      return trace;
    }
    trace.frames.push_back({{state.ip},
                            {state.sp},
                            state.exact,
                            state.guessed,
                            state.registers,
                            state.registers && state.all_registers});
    const auto more = step(state);
    if (!more) {
      trace.broken = more.error();
      return trace;
    }
    if (!*more) {
      return trace;
    }
    if (state.registers) {
      const auto cs = word(state.registers->value + kCs);
      if (cs && (*cs & 3) == 3) {
        return trace;
      }
    }
  }
}

Backtrace Unwinder::from(const Registers& registers) const {
  State state;
  state.ip = registers.ip;
  state.sp = registers.sp;
  state.bp = registers.bp;
  state.exact = true;
  return unwind(state);
}

Backtrace Unwinder::of_sleeping(VirtAddr thread_sp) const {
  Backtrace trace;
  if (!inactive_) {
    trace.broken = Error{Errc::not_found, "what struct inactive_task_frame is like is not known"};
    return trace;
  }
  State state;
  const auto code = word(thread_sp.value + inactive_->code);
  const auto bp = word(thread_sp.value + inactive_->bp);
  if (!code || !bp) {
    trace.broken = (!code ? code : bp).error();
    return trace;
  }
  state.ip = *code;
  state.bp = *bp;
  state.sp = thread_sp.value + inactive_->size;
  state.exact = std::ranges::find(beginnings_, VirtAddr{state.ip}) != beginnings_.end();
  if (const auto code_is = state.exact ? Result<>() : check_return(state); !code_is) {
    trace.broken = code_is.error();
    return trace;
  }
  return unwind(state);
}

}  // namespace vmcore::kernel
