// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/triage/log_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "src/base/number.h"
#include "src/triage/kernel_section.h"

namespace vmcore::triage {
namespace {

using report::TriageFrame;
using report::TriagePanic;
using report::TriageReport;

// The value in "0018:ffffb1c0003dbb48" and "0000000000000000(0000)".
std::optional<std::uint64_t> value_of(std::string_view printed) {
  printed.remove_prefix(printed.find(':') + 1);
  return parse_number<std::uint64_t>(printed.substr(0, printed.find('(')), 16);
}

std::vector<report::NamedRegister> registers_of(const LogReport& log) {
  std::vector<report::NamedRegister> registers;
  for (const LogRegister& each : log.registers) {
    const auto value = value_of(each.value);
    if (value && registers.size() < report::kMaxRegisters) {
      std::string name = each.name;
      std::ranges::transform(name, name.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
      });
      registers.push_back({std::move(name), *value});
    }
  }
  return registers;
}

TriageFrame frame_of(const LogFrame& frame, bool exact) {
  const bool named = !frame.function.empty();
  return {.function = frame.function,
          .module = frame.module,
          .offset = named ? frame.offset : 0,
          .size = frame.size,
          .address = named ? 0 : frame.offset,
          .exact = exact,
          .stack = frame.stack.empty()    ? "task"
                   : frame.stack == "IRQ" ? "irq"
                                          : frame.stack};
}

// Without the frames marked "?": the kernel found their addresses on the stack, and no call.
report::TriageStack whole_stack(const LogReport& log) {
  report::TriageStack stack;
  for (const LogFrame& frame : frames_of(log)) {
    if (stack.frames.size() < report::kMaxFrames) {
      stack.frames.push_back(frame_of(frame, stack.frames.empty() && log.fault.has_value()));
    }
  }
  stack.broken = log.cut ? "the log is cut or damaged here" : "";
  return stack;
}

std::string message_of(const LogCrash& crash) {
  const std::string& sentence = crash.report.sentence;
  const bool repeats =
      sentence.empty() || (!crash.panic.empty() && sentence.find(crash.panic) != std::string::npos);
  return repeats && !crash.panic.empty() ? crash.panic : sentence;
}

report::TriageKernel kernel_of(const LogReport& log) {
  report::TriageKernel kernel{.release = log.release};
  // The line that names the task tells the version and the taint.
  if (!log.version.empty()) {
    kernel.taint_mask = taint_mask_of(log.taint);
    kernel.taints = taints_of(*kernel.taint_mask);
  }
  return kernel;
}

std::vector<Remark> remarks_on(const LogText& log) {
  std::vector<Remark> remarks;
  if (log.crash->report.cut) {
    remarks.push_back({Errc::truncated,
                       "the lines of the crash are cut, damaged or mixed with others: parts of "
                       "its report are missing"});
  }
  if (log.crash->first) {
    remarks.push_back(
        {Errc::guest_state,
         fmt::format("{} other {} came before it in the same boot; the first one is of "
                     "class {}",
                     log.crash->earlier, log.crash->earlier == 1 ? "report" : "reports",
                     crash_class_name(log.crash->first->crash)),
         Severity::fact});
  }
  if (log.rebooted) {
    remarks.push_back(
        {Errc::guest_state, "the log goes on with another boot of the guest", Severity::fact});
  }
  return remarks;
}

}  // namespace

TriagePanic panic_of(const LogCrash& crash) {
  const LogReport& log = crash.report;
  TriagePanic panic{
      .message = message_of(crash), .kind = log.crash, .evidence = {"log"}, .cpu = log.cpu};
  if (log.pid) {
    panic.task = report::TaskName{.pid = *log.pid, .tgid = *log.pid, .comm = log.comm};
  }
  if (log.fault && !log.fault->function.empty()) {
    panic.fault =
        report::FaultingFunction{.name = log.fault->function, .registers = registers_of(log)};
  }
  panic.signature = signature_of(log);
  return panic;
}

TriageReport report_of_log(const LogText& log, const std::string& why) {
  TriageReport report{.format = "kernel log",
                      .incomplete = !log.crash || log.crash->report.cut,
                      .kernel = {.why_not = "the log does not name its kernel"},
                      .panic = {.why_not = "the log tells of no crash"},
                      .modules = {.why_not = why},
                      .cpus = {.why_not = why},
                      .tasks = {.why_not = why},
                      .log = {.value = log.lines},
                      .memory = {.why_not = why},
                      .mounts = {.why_not = why},
                      .files = {.why_not = why}};
  const LogReport nothing{.release = log.release};
  const LogReport& crashed = log.crash ? log.crash->report : nothing;
  if (!crashed.release.empty()) {
    report.kernel = {.value = kernel_of(crashed)};
  }
  if (!crashed.modules.empty()) {
    report.modules.value.emplace();
    for (const std::string& name : crashed.modules) {
      report.modules.value->push_back({.name = name});  // a log tells no addresses
    }
  }
  if (log.crash) {
    report.panic = {.value = panic_of(*log.crash)};
    report.remarks = remarks_on(log);
  }
  if (auto stack = whole_stack(crashed); !stack.frames.empty()) {
    report.stacks = {std::move(stack)};
    report.panic.value->stack = 0;
  }
  return report;
}

}  // namespace vmcore::triage
