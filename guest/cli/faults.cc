// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/cli/faults.h"

#include <sys/mount.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "guest/root/read_word.h"
#include "guest/root/run_command.h"
#include "guest/root/tree.h"

namespace vmcore::guest::cli {
namespace {

struct Fault {
  std::string_view name;
  std::string_view word;      // of lkdtm
  std::string_view setting;   // of sysctl, without which there is no panic
  std::string_view panic_on;  // the value of `setup --panic-on`
  std::string_view note;
};

constexpr std::array<Fault, 4> kFaults = {{
    {"null", "EXCEPTION", "panic_on_oops", "oops", ""},
    {"bug", "BUG", "panic_on_oops", "oops", ""},
    // SMP_CALL_LOCKUP and HARDLOCKUP need detectors that a guest without a virtual PMU lacks.
    {"lockup", "SOFTLOCKUP", "softlockup_panic", "softlockup",
     "the kernel notices it after kernel.watchdog_thresh, twice"},
    {"hung-task", "HUNG_TASK", "hung_task_panic", "hung-task",
     "the kernel notices it after kernel.hung_task_timeout_secs"},
}};

constexpr std::string_view kSysrq = "sysrq";
constexpr const char* kDebugfs = "/sys/kernel/debug";
constexpr std::string_view kDirect = "/sys/kernel/debug/provoke-crash/DIRECT";

// Loads the module and mounts debugfs, where they are not there yet.
Result<std::string> words_of_lkdtm(const root::Root& root, std::string_view fault) {
  if (!root.exists(kDirect) && root.running()) {
    const std::string modprobe = root::Tree(root).program("modprobe");
    if (!modprobe.empty()) {
      static_cast<void>(root::run_command({modprobe, "-q", "lkdtm"}));
    }
    ::mount("debugfs", kDebugfs, "debugfs", 0, nullptr);
  }
  auto words = root.read(kDirect);
  return words
             ? std::move(words)
             : fail(Errc::unsupported,
                    "this kernel cannot cause the fault {}: it has no lkdtm (CONFIG_LKDTM), or is "
                    "locked down ({}). Use --by sysrq",
                    fault, words.error().message);
}

// Reading the file lists the faults, one a line (drivers/misc/lkdtm/core.c, lkdtm_debugfs_read).
bool has_line(std::string_view lines, std::string_view wanted) {
  while (!lines.empty()) {
    const std::string_view line = lines.substr(0, lines.find('\n'));
    if (line == wanted) {
      return true;
    }
    lines.remove_prefix(std::min(line.size() + 1, lines.size()));
  }
  return false;
}

}  // namespace

std::vector<std::string> fault_names() {
  std::vector<std::string> names = {std::string(kSysrq)};
  std::ranges::transform(kFaults, std::back_inserter(names),
                         [](const Fault& fault) { return std::string(fault.name); });
  return names;
}

Result<Trigger> ready_fault(const root::Root& root, const std::string& name) {
  const auto* const fault = std::ranges::find(kFaults, name, &Fault::name);
  if (fault == kFaults.end()) {
    return Trigger{"/proc/sysrq-trigger", "c", ""};
  }
  const std::string setting = fmt::format("/proc/sys/kernel/{}", fault->setting);
  if (root::read_word(root, {setting}).value_or("0") == "0") {
    return fail(Errc::guest_state,
                "the fault {} does not cause a panic in this guest (kernel.{} is 0): run "
                "vmcore-guest setup --panic-on {}, or sysctl kernel.{}=1",
                name, fault->setting, fault->panic_on, fault->setting);
  }
  TRY_ASSIGN(const std::string words, words_of_lkdtm(root, name));
  if (!has_line(words, fault->word)) {
    return fail(Errc::unsupported, "the lkdtm of this kernel cannot cause the fault {}", name);
  }
  return Trigger{std::string(kDirect), std::string(fault->word), std::string(fault->note)};
}

}  // namespace vmcore::guest::cli
