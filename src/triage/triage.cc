// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/triage/triage.h"

#include <string>
#include <utility>
#include <vector>

#include "src/triage/cpus.h"
#include "src/triage/files.h"
#include "src/triage/kernel_section.h"
#include "src/triage/knowledge.h"
#include "src/triage/log_tail.h"
#include "src/triage/memory_section.h"
#include "src/triage/panic.h"
#include "src/triage/panic_stack.h"
#include "src/triage/stacks.h"
#include "src/triage/tasks.h"

namespace vmcore::triage {
namespace {

// Without symbols there are the log and VMCOREINFO.
report::TriageReport without_symbols(const kernel::GuestKernel& kernel, const LogTail& log) {
  const std::string why = "the kernel's symbols (kallsyms) are missing or damaged in memory";
  return {.kernel = {.value = kernel_by_info(kernel)},
          .panic = panic_by_log(log),
          .modules = {.why_not = why},
          .cpus = {.why_not = why},
          .tasks = {.why_not = why},
          .log = log.lines,
          .memory = {.why_not = why},
          .mounts = {.why_not = why},
          .files = {.why_not = why}};
}

report::Known<std::vector<report::TriageCpu>> cpu_section(
    const Result<std::vector<CpuFinding>>& cpus) {
  if (!cpus) {
    return {.why_not = cpus.error().message};
  }
  std::vector<report::TriageCpu> list;
  for (const CpuFinding& finding : *cpus) {
    list.push_back(finding.cpu);
  }
  return {.value = std::move(list)};
}

report::Known<std::vector<report::OpenFile>> file_section(Knowledge& knowledge,
                                                          const PanicFinding& panic) {
  if (panic.cpu == nullptr || !panic.cpu->task) {
    return {.why_not = "no task is known to have crashed"};
  }
  auto files = open_files(knowledge, panic.cpu->task->address);
  if (!files) {
    return {.why_not = files.error().message};
  }
  return {.value = *std::move(files)};
}

}  // namespace

report::TriageReport triage(const MemoryImage& image, const kernel::GuestKernel& kernel,
                            const TriageOptions& options) {
  std::vector<Remark> remarks;
  const LogTail log = read_log_tail(kernel, remarks);
  if (kernel.kallsyms() == nullptr) {
    report::TriageReport report = without_symbols(kernel, log);
    report.remarks = std::move(remarks);
    return report;
  }
  Knowledge knowledge(image, kernel);
  StackTable stacks(knowledge);
  report::TriageReport report{.kernel = {.value = kernel_section(knowledge)}, .log = log.lines};
  report.modules = module_section(knowledge, remarks);
  const auto cpus = find_cpus(knowledge, stacks, options.live, remarks);
  report.cpus = cpu_section(cpus);
  const std::vector<CpuFinding> findings = cpus.value_or(std::vector<CpuFinding>());
  const PanicFinding panic = find_panic(knowledge, findings, stacks, log);
  report.panic = panic.section;
  if (options.panic_stack != nullptr) {
    *options.panic_stack = panic_stack(knowledge, panic);
  }
  report.files = file_section(knowledge, panic);
  TaskFindings tasks = find_tasks(knowledge, stacks, findings, remarks);
  report.tasks = std::move(tasks.section);
  if (!report.kernel.value->uptime_seconds && log.last_seconds > 0) {
    report.kernel.value->uptime_seconds = log.last_seconds;
  }
  report.memory = memory_section(knowledge, tasks.tasks);
  report.mounts = mount_section(knowledge);
  if (stacks.left_out() != 0) {
    remarks.push_back(
        {Errc::limit, fmt::format("{} more stacks are not listed", stacks.left_out())});
  }
  report.stacks = stacks.take();
  report.remarks = std::move(remarks);
  return report;
}

}  // namespace vmcore::triage
