// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/triage/signature.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "src/seal/sha256.h"
#include "src/triage/never_guilty.h"

namespace vmcore::triage {
namespace {

using report::CrashClass;

// Functions that make a family. With fewer, different faults of one function become one; with more,
// the ways to a function that other versions have make one fault many.
constexpr std::size_t kFamilyFrames = 3;
constexpr std::size_t kDigits = 16;

// What compilers append to the name of a function that they copy, split or rename. Numbers follow.
constexpr std::string_view kSuffixes[] = {".isra",       // gcc: parameters changed
                                          ".constprop",  // gcc: parameters are known
                                          ".part",       // gcc: a part that is not inlined
                                          ".cold",       // gcc, clang: rarely runs
                                          ".llvm",       // clang: a static function, LTO
                                          ".__uniq",     // clang: -funique-internal-linkage-names
                                          ".lto_priv",   // gcc: a static function, LTO
                                          ".localalias", ".warm", ".resolved"};

std::string with_module(std::string_view function, std::string_view module) {
  return module.empty() ? std::string(function) : fmt::format("{} [{}]", function, module);
}

std::string short_hash(std::string_view text) { return seal::sha256(text).substr(0, kDigits); }

bool can_be_guilty(const NamedFrame& frame) {
  return !frame.function.empty() && !is_never_guilty(source_name(frame.function));
}

// Whom such a crash met says nothing of why.
bool is_told_by_class(CrashClass crash) {
  return crash == CrashClass::sysrq || crash == CrashClass::nmi ||
         crash == CrashClass::out_of_memory || crash == CrashClass::machine_check ||
         crash == CrashClass::init_killed || crash == CrashClass::no_init ||
         crash == CrashClass::no_root || crash == CrashClass::hypervisor;
}

std::string exact_text(std::string_view build_id, CrashClass crash,
                       std::span<const NamedFrame> frames) {
  std::string text = fmt::format("{}\n{}\n", build_id, crash_class_name(crash));
  for (const NamedFrame& frame : frames) {
    text += fmt::format("{}+{:#x}\n", with_module(frame.function, frame.module), frame.offset);
  }
  return text;
}

std::string family_text(CrashClass crash, std::span<const std::string> guilty) {
  std::string text = fmt::format("{}\n", crash_class_name(crash));
  if (!is_told_by_class(crash)) {
    for (const std::string& function : guilty.first(std::min(guilty.size(), kFamilyFrames))) {
      text += function + '\n';
    }
  }
  return text;
}

// An address that is in no function may be the innermost: a jump through a bad pointer.
bool has_gaps(std::span<const NamedFrame> frames) {
  return !frames.empty() && std::ranges::any_of(frames.subspan(1), [](const NamedFrame& frame) {
    return frame.function.empty();
  });
}

// Beyond the entry of an interrupt or an exception are functions that it interrupted.
bool is_entry(std::string_view function) {
  return function.starts_with("asm_") || function.starts_with("el1h_64_") ||
         function.starts_with("handle_exception") || function.starts_with("ret_from_exception");
}

bool is_entry_frame(const NamedFrame& frame) { return is_entry(frame.function); }

struct StackRow {
  std::string_view function;
  CrashClass crash;
};

// Functions that run in no other case. The kernel's names from 5.10 on, of all architectures.
constexpr StackRow kTelling[] = {
    {"sysrq_handle_crash", CrashClass::sysrq},                    // drivers/tty/sysrq.c
    {"watchdog_timer_fn", CrashClass::soft_lockup},               // kernel/watchdog.c
    {"watchdog_overflow_callback", CrashClass::hard_lockup},      // kernel/watchdog_perf.c
    {"watchdog_hardlockup_check", CrashClass::hard_lockup},       // kernel/watchdog.c, 6.5
    {"check_hung_uninterruptible_tasks", CrashClass::hung_task},  // kernel/hung_task.c
    {"check_hung_task", CrashClass::hung_task},
    {"out_of_memory", CrashClass::out_of_memory},   // mm/oom_kill.c
    {"panic_on_rcu_stall", CrashClass::rcu_stall},  // kernel/rcu/tree_stall.h
    {"print_cpu_stall", CrashClass::rcu_stall},
    {"print_other_cpu_stall", CrashClass::rcu_stall},
    {"check_cpu_stall", CrashClass::rcu_stall},
    {"mce_panic", CrashClass::machine_check},  // arch/x86/kernel/cpu/mce/core.c
    {"do_machine_check", CrashClass::machine_check},
    {"exc_double_fault", CrashClass::double_fault},  // arch/x86/kernel/traps.c
    {"handle_stack_overflow", CrashClass::stack_overflow},
    {"handle_bad_stack", CrashClass::stack_overflow},    // arch/riscv/kernel/traps.c
    {"panic_bad_stack", CrashClass::stack_overflow},     // arch/arm64/kernel/traps.c, 6.13
    {"__stack_chk_fail", CrashClass::stack_corruption},  // kernel/panic.c
    {"nmi_panic_self_stop", CrashClass::nmi},
    {"unknown_nmi_error", CrashClass::nmi},  // arch/x86/kernel/nmi.c
    {"pci_serr_error", CrashClass::nmi},
    {"io_check_error", CrashClass::nmi},
    {"mount_block_root", CrashClass::no_root},     // init/do_mounts.c, until 6.5
    {"mount_root_generic", CrashClass::no_root},   // since 6.6
    {"check_panic_on_warn", CrashClass::warning},  // kernel/panic.c, 6.2
    {"__warn", CrashClass::warning},
    {"exc_divide_error", CrashClass::divide_error},
    {"exc_general_protection", CrashClass::protection_fault},
    // BUG() is an invalid instruction, and as good as each one in a kernel is a BUG().
    {"exc_invalid_op", CrashClass::bug},
    {"__ubsan_handle_out_of_bounds_abort", CrashClass::sanitizer},
    {"kasan_report", CrashClass::sanitizer},
    {"page_fault_oops", CrashClass::oops},  // arch/x86/mm/fault.c, 5.12; no_context() before
    {"no_context", CrashClass::oops},
    {"bad_area_nosemaphore", CrashClass::oops},
};

// Functions that only say of which kind the crash is.
constexpr StackRow kGeneral[] = {
    {"oops_end", CrashClass::oops},
    {"die", CrashClass::oops},
};

// Functions that tell by calling panic() themselves.
constexpr StackRow kPanicking[] = {
    {"do_exit", CrashClass::init_killed},  // of process 1 and of idle tasks alone
    {"kernel_init", CrashClass::no_init},
};

CrashClass class_by(std::span<const StackRow> rows, std::span<const std::string_view> functions) {
  for (const std::string_view function : functions) {
    const auto row = std::ranges::find(rows, source_name(function), &StackRow::function);
    if (row != rows.end()) {
      return row->crash;
    }
    if (is_entry(function)) {
      break;
    }
  }
  return CrashClass::unknown;
}

// Who called panic(), and vpanic() since 6.15.
CrashClass class_by_caller(std::span<const std::string_view> functions) {
  const auto is_panic = [](std::string_view function) {
    return source_name(function) == "panic" || source_name(function) == "vpanic";
  };
  const auto panic = std::ranges::find_if(functions, is_panic);
  if (panic == functions.end()) {
    return CrashClass::unknown;
  }
  const auto caller = std::find_if_not(panic, functions.end(), is_panic);
  const auto row = caller == functions.end()
                       ? std::end(kPanicking)
                       : std::ranges::find(kPanicking, source_name(*caller), &StackRow::function);
  return row == std::end(kPanicking) ? CrashClass::panic : row->crash;
}

}  // namespace

std::string_view source_name(std::string_view function) {
  std::size_t end = function.size();
  for (const std::string_view suffix : kSuffixes) {
    const std::size_t at = function.find(suffix, 1);
    // ".part" may also begin a word that is no suffix.
    if (at != std::string_view::npos && at + suffix.size() <= function.size() &&
        (at + suffix.size() == function.size() || function[at + suffix.size()] == '.')) {
      end = std::min(end, at);
    }
  }
  std::string_view name = function.substr(0, end);
  // "foo.0": a static function whose name others have too.
  const std::size_t dot = name.rfind('.');
  if (dot != std::string_view::npos && dot > 0 && dot + 1 < name.size() &&
      name.find_first_not_of("0123456789", dot + 1) == std::string_view::npos) {
    name = name.substr(0, dot);
  }
  return name;
}

report::CrashSignature signature_of(CrashClass crash, std::span<const NamedFrame> frames,
                                    bool whole, std::string_view build_id) {
  const auto first = std::ranges::find_if(frames, can_be_guilty);
  const auto end = std::find_if(first, frames.end(), is_entry_frame);
  // What stands before is how the kernel told of the crash: a dump's stack has it, a log's has not.
  // What an interrupt or an exception entered from is chance.
  const std::span<const NamedFrame> chain = first == frames.end() ? frames : std::span(first, end);
  std::vector<std::string> guilty;
  for (const NamedFrame& frame : chain) {
    // How deep a recursion came does not matter.
    std::string name = with_module(source_name(frame.function), frame.module);
    if (can_be_guilty(frame) && (guilty.empty() || guilty.back() != name)) {
      guilty.push_back(std::move(name));
    }
  }
  report::CrashSignature signature;
  if (!build_id.empty() && !frames.empty()) {
    signature.exact = short_hash(exact_text(build_id, crash, chain));
  }
  signature.family = short_hash(family_text(crash, guilty));
  signature.title = crash_class_title(crash);
  if (!guilty.empty() && !is_told_by_class(crash)) {
    signature.title += " in " + guilty.front();
  }
  signature.weak = !is_told_by_class(crash) && (!whole || guilty.empty() || has_gaps(frames));
  return signature;
}

CrashClass class_of_stack(std::span<const std::string_view> functions) {
  for (const std::span<const StackRow> rows :
       {std::span<const StackRow>(kTelling), std::span<const StackRow>(kGeneral)}) {
    if (const CrashClass crash = class_by(rows, functions); crash != CrashClass::unknown) {
      return crash;
    }
  }
  return class_by_caller(functions);
}

}  // namespace vmcore::triage
