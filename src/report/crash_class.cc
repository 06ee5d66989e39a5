// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/report/crash_class.h"

#include <algorithm>
#include <iterator>

namespace vmcore::report {
namespace {

struct Row {
  CrashClass crash;
  std::string_view name;
  std::string_view title;
};

// In the order of the enumeration.
constexpr Row kRows[] = {
    {CrashClass::unknown, "unknown", "Unknown crash"},
    {CrashClass::panic, "panic", "Panic"},
    {CrashClass::null_dereference, "null_dereference", "NULL dereference"},
    {CrashClass::paging_request, "paging_request", "Bad address"},
    {CrashClass::user_access, "user_access", "Bad access to user memory"},
    {CrashClass::protection_fault, "protection_fault", "Protection fault"},
    {CrashClass::divide_error, "divide_error", "Divide error"},
    {CrashClass::invalid_opcode, "invalid_opcode", "Invalid instruction"},
    {CrashClass::oops, "oops", "Oops"},
    {CrashClass::bug, "bug", "BUG"},
    {CrashClass::warning, "warning", "WARNING"},
    {CrashClass::sanitizer, "sanitizer", "Sanitizer report"},
    {CrashClass::double_fault, "double_fault", "Double fault"},
    {CrashClass::stack_overflow, "stack_overflow", "Stack overflow"},
    {CrashClass::stack_corruption, "stack_corruption", "Corrupt stack"},
    {CrashClass::hung_task, "hung_task", "Hung task"},
    {CrashClass::soft_lockup, "soft_lockup", "Soft lockup"},
    {CrashClass::hard_lockup, "hard_lockup", "Hard lockup"},
    {CrashClass::rcu_stall, "rcu_stall", "RCU stall"},
    {CrashClass::out_of_memory, "out_of_memory", "Out of memory"},
    {CrashClass::machine_check, "machine_check", "Machine check"},
    {CrashClass::nmi, "nmi", "NMI"},
    {CrashClass::sysrq, "sysrq", "SysRq crash"},
    {CrashClass::init_killed, "init_killed", "init was killed"},
    {CrashClass::no_init, "no_init", "No init"},
    {CrashClass::no_root, "no_root", "No root file system"},
    {CrashClass::hypervisor, "hypervisor", "Crash reported by the hypervisor"},
};
static_assert(std::size(kRows) == static_cast<std::size_t>(CrashClass::hypervisor) + 1);

}  // namespace

std::string_view crash_class_name(CrashClass crash) {
  return kRows[static_cast<std::size_t>(crash)].name;
}

std::optional<CrashClass> crash_class_from_name(std::string_view name) {
  const auto* row = std::ranges::find(kRows, name, &Row::name);
  return row == std::end(kRows) ? std::nullopt : std::optional(row->crash);
}

std::string_view crash_class_title(CrashClass crash) {
  return kRows[static_cast<std::size_t>(crash)].title;
}

}  // namespace vmcore::report
