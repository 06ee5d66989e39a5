// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/worker/info_report.h"

#include <algorithm>
#include <span>
#include <string>

#include "src/report/bounds.h"

namespace vmcore::worker {
namespace {

const char* source_name(kernel::InfoSource source) {
  if (source == kernel::InfoSource::note) {
    return "note";
  }
  return source == kernel::InfoSource::registers ? "registers" : "search";
}

report::KernelInfo kernel_info(const convert::KernelFacts& kernel) {
  report::KernelInfo info{.release = kernel.release,
                          .build_id = kernel.build_id,
                          .vmcoreinfo = source_name(kernel.info_source),
                          .in_memory = kernel.in_memory,
                          .kaslr_offset = kernel.kaslr_offset,
                          .phys_base = kernel.phys_base,
                          .page_table_levels = kernel.page_table_levels,
                          .panicked = kernel.panicked};
  if (const auto& panic = kernel.capture_kernel) {
    info.capture_kernel = report::ReservedMemory{
        .loaded = panic->loaded, .start = panic->region.begin.value, .size = panic->region.size};
  }
  return info;
}

// `numbers`: of Linux, one a CPU, or none.
void add_cpus(std::span<const CpuState> cpus, std::span<const unsigned> numbers,
              report::InfoReport& report) {
  for (std::size_t i = 0; i < std::min(report::kMaxCpus, cpus.size()); ++i) {
    const CpuState& cpu = cpus[i];
    report.cpus.push_back({.index = numbers.size() == cpus.size() ? numbers[i] : cpu.index,
                           .rip = cpu.rip,
                           .rsp = cpu.rsp,
                           .rflags = cpu.rflags,
                           .mode = cpu.user_mode() ? "user" : "kernel",
                           .gs_base = cpu.gs.base,
                           .cr3 = cpu.cr3,
                           .cr4 = cpu.cr4});
  }
  if (report.cpus.size() != cpus.size()) {
    report.remarks.push_back(
        {Errc::limit, fmt::format("{} more CPUs are not listed", cpus.size() - report.cpus.size()),
         Severity::fact});
  }
}

void add_pages(const convert::Description& description, report::InfoReport& report) {
  const filters::Plan& plan = description.plan;
  report.ram_pages = plan.ram_pages;
  report.pages_in_file = plan.kept_pages;
  report.pages_excluded = plan.excluded_before;
  if (!description.kernel || !description.kernel->in_memory) {
    return;
  }
  for (const filters::ClassName& entry : filters::kClassNames) {
    report.pages_by_class.emplace_back(
        entry.name, plan.pages_by_class[static_cast<std::size_t>(entry.page_class)]);
  }
}

}  // namespace

report::InfoReport info_report(const MemoryImage& image, const convert::Description& description) {
  const std::string_view machine = names_of(image.machine.arch).name;
  report::InfoReport report{.format = image.file.format,
                            .machine = machine.empty() ? "unknown" : std::string(machine),
                            .page_size = image.machine.page_size,
                            .incomplete = description.incomplete,
                            .level_asked = description.level_asked,
                            .level_reached = description.level_reached,
                            .last_log_stamp = description.last_log_stamp,
                            .capture = description.capture,
                            .remarks = description.remarks};
  if (description.kernel) {
    report.kernel = kernel_info(*description.kernel);
  }
  if (const auto& seconds = description.crash_time.seconds) {
    report.crash_time =
        report::CrashTime{static_cast<std::int64_t>(*seconds),
                          std::string(time_source_name(description.crash_time.source))};
  }
  add_cpus(image.cpus, description.cpu_numbers, report);
  report.ram = report::listed_ranges(ram_ranges(*image.memory).ranges(), report.remarks);
  add_pages(description, report);
  return report;
}

}  // namespace vmcore::worker
