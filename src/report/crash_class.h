// SPDX-License-Identifier: GPL-2.0-or-later
// CrashClass: why a kernel crashed, as far as classes go. One list for logs, for stacks, for
// signatures and for reports.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace vmcore::report {

enum class CrashClass : std::uint8_t {
  unknown,           // nothing tells, or it is a sentence that is not known
  panic,             // panic() with a message of no other class
  null_dereference,  // oops: an address in the first page
  paging_request,    // oops: another address that is not mapped, or not for this access
  user_access,       // oops: kernel code used an address of user space without a copy function
  protection_fault,  // oops: x86's general protection fault, and its like elsewhere
  divide_error,      // oops
  invalid_opcode,    // oops: an instruction that does not exist, no BUG()
  oops,              // an oops of no other class
  bug,               // BUG()
  warning,           // WARN(), and reports after which the kernel goes on
  sanitizer,         // KASAN, KFENCE, KCSAN or UBSAN
  double_fault,
  stack_overflow,
  stack_corruption,  // -fstack-protector
  hung_task,
  soft_lockup,
  hard_lockup,
  rcu_stall,
  out_of_memory,
  machine_check,
  nmi,
  sysrq,        // somebody asked for it
  init_killed,  // process 1 ended
  no_init,      // no program for process 1
  no_root,      // no root file system
  hypervisor,   // the hypervisor says so, and the kernel did not
};

// The stable name, as JSON has it: "null_dereference".
std::string_view crash_class_name(CrashClass crash);
std::optional<CrashClass> crash_class_from_name(std::string_view name);
// What a title begins with: "NULL dereference".
std::string_view crash_class_title(CrashClass crash);

}  // namespace vmcore::report
