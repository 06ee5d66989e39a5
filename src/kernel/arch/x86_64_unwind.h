// SPDX-License-Identifier: GPL-2.0-or-later
// Unwinder: stack frames of x86-64 kernels by ORC, as arch/x86/kernel/unwind_orc.c finds them. It
// goes through calls, interrupts, exceptions and NMIs, and from their stacks to the stack that was
// interrupted.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "src/base/address.h"
#include "src/base/result.h"
#include "src/kernel/arch/x86_64_orc.h"
#include "src/kernel/btf.h"
#include "src/kernel/guest_kernel.h"
#include "src/kernel/kallsyms.h"
#include "src/kernel/modules.h"

namespace vmcore::kernel {

struct StackFrame {
  VirtAddr code;  // the address at which the frame continues
  VirtAddr sp;    // the stack pointer at that address
  // Whether `code` is the address that was interrupted. If not, `code` is a return address: the
  // call is before it, and may be the last instruction of its function.
  bool exact = false;
  // Whether the frame was found by a frame pointer, because no ORC table covers the code of an
  // inner frame (BPF, ftrace), or no call is before its return address (a probe took its place, or
  // memory is damaged). Such a frame, and all that follow, may be wrong.
  bool guessed = false;
  // The struct pt_regs that an interrupt saved of this frame. If all_registers is false, only its
  // end from `ip` on is there.
  std::optional<VirtAddr> registers;
  bool all_registers = false;
};

struct Backtrace {
  std::vector<StackFrame> frames;  // the innermost frame first
  // Why the trace ends too early. Empty if it ends where user mode entered the kernel, or where a
  // thread begins. Errc::not_found: no table covers the code. Errc::unreadable: memory is missing.
  // Errc::malformed: the stack is corrupt. Errc::limit: there are more than 512 frames.
  std::optional<Error> broken;
};

struct Registers {
  std::uint64_t ip = 0;
  std::uint64_t sp = 0;
  std::uint64_t bp = 0;
};

// Not thread-safe.
class Unwinder {
 public:
  // `kernel` is borrowed. `btf` may be null: then sleeping tasks cannot be unwound. Fails as
  // OrcTable::of_kernel() does.
  static Result<Unwinder> make(const GuestKernel& kernel, const Kallsyms& kallsyms, const Btf* btf,
                               const std::vector<Module>& modules);

  // The frames of a CPU that has these registers, in kernel mode.
  Backtrace from(const Registers& registers) const;
  // The frames of a task that does not run. `thread_sp` is task_struct.thread.sp: __switch_to_asm()
  // left a struct inactive_task_frame there.
  Backtrace of_sleeping(VirtAddr thread_sp) const;

 private:
  struct State;
  // A table, and the memory of its module; the kernel's has none. The entries alone do not tell: a
  // module's initial part is elsewhere, and another module may lie between the two.
  struct Part {
    OrcTable table;
    std::vector<Module::Range> ranges;
    bool covers(VirtAddr code) const;
  };
  struct InitText {
    std::uint64_t begin = 0, end = 0;
    bool contains(std::uint64_t code) const { return code >= begin && code < end; }
  };
  struct InactiveFrame {
    std::uint64_t size = 0, bp = 0, code = 0;
  };

  explicit Unwinder(const GuestKernel& kernel) : kernel_(&kernel) {}
  Result<OrcEntry> find(VirtAddr code) const;
  Result<OrcEntry> look_up(VirtAddr code) const;
  Result<OrcEntry> entry_for(State& state) const;
  bool is_behind_call(std::uint64_t code) const;
  Result<> check_return(State& state) const;
  // Continues with the calling frame. False if the trace is complete.
  Result<bool> step(State& state) const;
  Result<std::uint64_t> stack_pointer(const State& state, const OrcEntry& entry) const;
  Result<> take_registers(State& state, VirtAddr registers, bool all) const;
  Result<std::uint64_t> register_of(const State& state, std::uint64_t offset) const;
  Result<> find_bp(State& state, const OrcEntry& entry, std::uint64_t sp) const;
  Result<std::uint64_t> word(std::uint64_t address) const;
  Backtrace unwind(State state) const;

  const GuestKernel* kernel_;
  std::vector<Part> parts_;  // the kernel's, then those of modules
  std::optional<InactiveFrame> inactive_;
  InitText init_text_;
  std::vector<VirtAddr> beginnings_;  // the code of new tasks, which has no caller
  // What was found before: the stacks of a kernel's tasks share most of their code.
  mutable std::unordered_map<std::uint64_t, OrcEntry> found_;
  mutable std::unordered_map<std::uint64_t, bool> calls_;
};

}  // namespace vmcore::kernel
