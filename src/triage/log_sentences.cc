// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/triage/log_sentences.h"

#include <algorithm>
#include <span>

#include "src/base/number.h"
#include "src/triage/never_guilty.h"

namespace vmcore::triage {
namespace {

using report::CrashClass;
using enum CrashClass;

// "*" stands for any characters. `where` is the file of Linux that prints the sentence, and since
// or until which release, where kernels from 5.10 on differ.
struct Sentence {
  std::string_view pattern;
  CrashClass crash;
  std::string_view where;
};

// The first lines of reports. The first row that fits counts.
constexpr Sentence kBegins[] = {
    {"BUG: kernel NULL pointer dereference, address: *", null_dereference, "arch/x86/mm/fault.c"},
    {"BUG: unable to handle page fault for address: *", paging_request, "arch/x86/mm/fault.c"},
    {"BUG: unable to handle kernel NULL pointer dereference*", null_dereference,
     "arch/x86/mm/fault.c, until 5.0"},
    {"BUG: unable to handle kernel paging request*", paging_request,
     "arch/x86/mm/fault.c, until 5.0"},
    {"traps: PANIC: double fault, *", double_fault, "arch/x86/kernel/traps.c"},
    {"PANIC: double fault, *", double_fault, "arch/x86/kernel/traps.c, until 4.x"},
    {"BUG: stack guard page was hit at *", stack_overflow, "arch/x86/kernel/traps.c, until 5.16"},
    {"BUG: * stack guard page was hit at *", stack_overflow, "arch/x86/kernel/traps.c, 5.17"},
    {"Insufficient stack space to handle exception!*", stack_overflow,
     "arch/{arm64,riscv}/kernel/traps.c"},
    {"Kernel stack overflow*", stack_overflow, "arch/{powerpc,s390}/kernel/traps.c"},
    {"Unable to handle kernel NULL pointer dereference at virtual address *", null_dereference,
     "arch/{arm64,riscv}/mm/fault.c"},
    {"Unable to handle kernel access to user memory *", user_access,
     "arch/{arm64,riscv}/mm/fault.c"},
    {"Unable to handle kernel pointer dereference *", paging_request, "arch/s390/mm/fault.c"},
    {"Unable to handle kernel paging request *", paging_request,
     "arch/{arm64,riscv,s390}/mm/fault.c"},
    {"Unable to handle kernel * at virtual address *", paging_request, "arch/arm64/mm/fault.c"},
    {"CPU * Unable to handle kernel paging request *", paging_request, "arch/loongarch/mm/fault.c"},
    {"BUG: Kernel NULL pointer dereference on *", null_dereference,
     "arch/powerpc/mm/fault.c, 5.2 (49a502ea23bf)"},
    {"BUG: Unable to handle kernel *", paging_request, "arch/powerpc/mm/fault.c"},
    {"Kernel attempted to * user page *", user_access, "arch/powerpc/mm/fault.c"},
    {"kernel BUG at *", bug, "lib/bug.c"},
    {"Kernel BUG at *", bug, "lib/bug.c, without CONFIG_DEBUG_BUGVERBOSE"},
    {"WARNING: CPU: * PID: * at *", warning, "kernel/panic.c, until 6.18"},
    {"WARNING: * at *, CPU#*: *", warning, "kernel/panic.c, 6.19 (28ea295f941e)"},
    {"BUG: KASAN: *", sanitizer, "mm/kasan/report.c"},
    {"BUG: KFENCE: *", sanitizer, "mm/kfence/report.c"},
    {"BUG: KCSAN: *", sanitizer, "kernel/kcsan/report.c"},
    {"BUG: KMSAN: *", sanitizer, "mm/kmsan/report.c"},
    {"UBSAN: *", sanitizer, "lib/ubsan.c"},
    {"watchdog: BUG: soft lockup - CPU#*", soft_lockup, "kernel/watchdog.c"},
    {"BUG: soft lockup - CPU#*", soft_lockup, "kernel/watchdog.c, until 4.x"},
    {"NMI watchdog: Watchdog detected hard LOCKUP on cpu *", hard_lockup,
     "kernel/watchdog_hld.c, until 6.4"},
    {"watchdog: Watchdog detected hard LOCKUP on cpu *", hard_lockup, "kernel/watchdog.c, 6.5"},
    {"watchdog: CPU*: Watchdog detected hard LOCKUP on cpu *", hard_lockup,
     "kernel/watchdog.c, 7.x"},
    {"INFO: task *:* blocked* for more than * seconds.", hung_task, "kernel/hung_task.c"},
    {"rcu: INFO: * self-detected stall on CPU*", rcu_stall, "kernel/rcu/tree_stall.h"},
    {"rcu: INFO: * detected stalls on CPUs/tasks:*", rcu_stall, "kernel/rcu/tree_stall.h"},
    {"rcu: INFO: * detected expedited stalls on *", rcu_stall, "kernel/rcu/tree_exp.h"},
    {"INFO: rcu_tasks* detected stalls on tasks:*", rcu_stall, "kernel/rcu/tasks.h"},
    {"* invoked oom-killer: gfp_mask=*", out_of_memory, "mm/oom_kill.c"},
    {"mce: [Hardware Error]: CPU *: Machine Check Exception: *", machine_check,
     "arch/x86/kernel/cpu/mce/core.c"},
    {"mce: [Hardware Error]: CPU *: Machine Check: *", machine_check,
     "arch/x86/kernel/cpu/mce/core.c"},
    {"Uhhuh. NMI received for unknown reason *", nmi, "arch/x86/kernel/nmi.c"},
    {"NMI: PCI system error (SERR) for reason *", nmi, "arch/x86/kernel/nmi.c"},
    {"NMI: IOCK error *", nmi, "arch/x86/kernel/nmi.c"},
    {"SError Interrupt on CPU*", nmi, "arch/arm64/kernel/traps.c"},
    {"WARNING: *", warning, "kernel/locking/lockdep.c, kernel/rcu/update.c and others"},
    {"BUG: *", warning, "reports after which the kernel goes on: mm/, kernel/sched/"},
};

// What die() is given, without "Oops: " and "Internal error: " in front (x86 prints "Oops: " since
// 6.11, arm64 "Internal error: "). Where it tells no more than a report's first line did, that line
// counts.
constexpr Sentence kDies[] = {
    {"general protection fault*", protection_fault, "arch/x86/kernel/traps.c"},
    {"segment-related general protection fault*", protection_fault, "arch/x86/kernel/traps.c"},
    {"divide error*", divide_error, "arch/x86/kernel/traps.c"},
    {"fixpoint divide exception*", divide_error, "arch/s390/kernel/traps.c"},
    {"invalid opcode*", invalid_opcode, "arch/x86/kernel/traps.c"},
    {"double fault*", double_fault, "arch/x86/kernel/traps.c"},
    {"kernel stack overflow*", stack_overflow, "arch/x86/kernel/traps.c, until 5.16"},
    {"Kernel stack overflow*", stack_overflow, "arch/powerpc/kernel/traps.c"},
    {"stack guard page*", stack_overflow, "arch/x86/kernel/traps.c, 5.17"},
    {"Oops - BUG*", bug, "arch/{arm64,loongarch}/kernel/traps.c"},
    {"Kernel BUG*", bug, "arch/riscv/kernel/traps.c"},
    {"Oops - undefined instruction*", invalid_opcode, "arch/arm64/kernel/traps.c, until 6.1"},
    {"Oops - Undefined instruction*", invalid_opcode, "arch/arm64/kernel/traps.c"},
    {"Oops - illegal instruction*", invalid_opcode, "arch/riscv/kernel/traps.c"},
    {"illegal operation*", invalid_opcode, "arch/s390/kernel/traps.c"},
    {"protection exception*", protection_fault, "arch/s390/mm/fault.c"},
    {"Oops - CFI*", protection_fault, "arch/arm64/kernel/traps.c"},
    {"Oops - BTI*", protection_fault, "arch/arm64/kernel/traps.c"},
    {"Oops - FPAC*", protection_fault, "arch/arm64/kernel/traps.c"},
    {"Oops - KASAN*", sanitizer, "arch/arm64/kernel/traps.c"},
    {"Machine check*", machine_check, "arch/powerpc/kernel/traps.c"},
    {"Unrecoverable Machine check*", machine_check, "arch/powerpc/kernel/traps.c"},
    {"*System Reset*", nmi, "arch/powerpc/kernel/traps.c"},
};

struct PanicRow {
  std::string_view pattern;
  PanicMessage message;
  std::string_view where;
};

constexpr PanicRow kPanics[] = {
    {"sysrq triggered crash", {sysrq, Cause::none}, "drivers/tty/sysrq.c"},
    {"Fatal exception*", {oops, Cause::must_be}, "arch/*/kernel: die()"},
    {"*: Fatal exception*", {oops, Cause::must_be}, "arch/arm64/kernel/traps.c"},
    {"Aiee, killing interrupt handler!", {oops, Cause::must_be}, "kernel/exit.c"},
    {"Oopsed too often*", {oops, Cause::must_be}, "kernel/exit.c, 6.2"},
    {"panic_on_warn set ...", {warning, Cause::must_be}, "kernel/panic.c, until 6.1"},
    {"*: panic_on_warn set ...",
     {warning, Cause::must_be},
     "kernel/panic.c, 6.2 and stable kernels"},
    {"*: system warned too often*", {warning, Cause::must_be}, "kernel/panic.c, 6.2"},
    {"kasan.fault=panic set ...", {sanitizer, Cause::must_be}, "mm/kasan/report.c"},
    {"softlockup: hung tasks", {soft_lockup, Cause::must_be}, "kernel/watchdog.c"},
    {"Hard LOCKUP", {hard_lockup, Cause::must_be}, "kernel/watchdog.c"},
    {"hung_task: blocked tasks", {hung_task, Cause::must_be}, "kernel/hung_task.c"},
    {"RCU Stall", {rcu_stall, Cause::must_be}, "kernel/rcu/tree_stall.h"},
    {"Out of memory: *", {out_of_memory, Cause::may_be}, "mm/oom_kill.c"},
    {"System is deadlocked on memory", {out_of_memory, Cause::may_be}, "mm/oom_kill.c"},
    {"stack-protector: *", {stack_corruption, Cause::none}, "kernel/panic.c"},
    {"corrupted stack end detected inside scheduler",
     {stack_overflow, Cause::none},
     "kernel/sched/core.c"},
    {"kernel stack overflow*",
     {stack_overflow, Cause::must_be},
     "arch/{arm64,powerpc}/kernel/traps.c; x86 until 5.16"},
    {"Kernel stack overflow*", {stack_overflow, Cause::must_be}, "arch/riscv/kernel/traps.c"},
    {"* stack guard hit", {stack_overflow, Cause::must_be}, "arch/x86/kernel/traps.c, 5.17"},
    {"Corrupt kernel stack, *", {stack_overflow, Cause::must_be}, "arch/s390/kernel/traps.c"},
    {"Machine halted.", {double_fault, Cause::must_be}, "arch/x86/kernel/traps.c"},
    {"NMI: Not continuing", {nmi, Cause::may_be}, "arch/x86/kernel/nmi.c"},
    {"NMI IOCK error: Not continuing", {nmi, Cause::may_be}, "arch/x86/kernel/nmi.c"},
    {"Asynchronous SError Interrupt", {nmi, Cause::may_be}, "arch/arm64/kernel/traps.c"},
    {"System Reset", {nmi, Cause::may_be}, "arch/powerpc/kernel/traps.c"},
    {"Fatal machine check*", {machine_check, Cause::may_be}, "arch/x86/kernel/cpu/mce/core.c"},
    {"Fatal local machine check*",
     {machine_check, Cause::may_be},
     "arch/x86/kernel/cpu/mce/core.c"},
    {"Local fatal machine check*",
     {machine_check, Cause::may_be},
     "arch/x86/kernel/cpu/mce/core.c"},
    {"Timeout: Not all CPUs entered *",
     {machine_check, Cause::may_be},
     "arch/x86/kernel/cpu/mce/core.c"},
    {"*onsecutive machine checks *",
     {machine_check, Cause::may_be},
     "arch/x86/kernel/cpu/mce/core.c"},
    {"MCA architectural violation!",
     {machine_check, Cause::may_be},
     "arch/x86/kernel/cpu/mce/core.c"},
    {"Failed kernel mode recovery",
     {machine_check, Cause::may_be},
     "arch/x86/kernel/cpu/mce/core.c"},
    {"Panicing machine check CPU died",
     {machine_check, Cause::may_be},
     "arch/x86/kernel/cpu/mce/core.c"},
    {"Unrecoverable Machine check*", {machine_check, Cause::may_be}, "arch/powerpc/kernel/traps.c"},
    {"Fatal hardware error!", {machine_check, Cause::may_be}, "drivers/acpi/apei/ghes.c"},
    {"Attempted to kill init!*", {init_killed, Cause::none}, "kernel/exit.c"},
    {"No working init found.*", {no_init, Cause::none}, "init/main.c"},
    {"Requested init * failed*", {no_init, Cause::none}, "init/main.c"},
    {"VFS: Unable to mount root fs*", {no_root, Cause::none}, "init/do_mounts.c"},
};

template <class Row>
const Row* first_match(std::span<const Row> rows, std::string_view text) {
  const auto row =
      std::ranges::find_if(rows, [&](const Row& each) { return matches(each.pattern, text); });
  return row == rows.end() ? nullptr : &*row;
}

void drop(std::string_view& text, std::string_view prefix) {
  if (text.starts_with(prefix)) {
    text.remove_prefix(prefix.size());
  }
}

bool is_oops(CrashClass crash) {
  return (crash >= null_dereference && crash <= bug) || crash == double_fault ||
         crash == stack_overflow;
}

}  // namespace

std::optional<CrashClass> begins_report(std::string_view line) {
  const Sentence* row = first_match<Sentence>(kBegins, line);
  return row == nullptr ? std::nullopt : std::optional(row->crash);
}

std::optional<std::string_view> die_line(std::string_view line) {
  // The longest is that of a general protection fault, some 100 bytes.
  const std::size_t at = line.substr(0, 256).find("[#");
  if (at == std::string_view::npos) {
    return std::nullopt;
  }
  std::string_view number = line.substr(at + 2);
  if (!take_number<unsigned>(number) || !number.starts_with(']')) {
    return std::nullopt;
  }
  const std::string_view words = line.substr(0, at);
  return words.substr(0, words.find_last_not_of(' ') + 1);
}

CrashClass class_of_die(std::string_view words) {
  drop(words, "Internal error: ");
  drop(words, "Oops: ");
  const Sentence* row = first_match<Sentence>(kDies, words);
  return row == nullptr ? oops : row->crash;
}

PanicMessage panic_message(std::string_view message) {
  const PanicRow* row = first_match<PanicRow>(kPanics, message);
  return row == nullptr ? PanicMessage{} : row->message;
}

bool can_cause(CrashClass crash, CrashClass panic) {
  if (panic == oops || panic == double_fault || panic == stack_overflow) {
    return is_oops(crash);
  }
  return crash == panic || (panic == warning && crash == sanitizer);
}

}  // namespace vmcore::triage
