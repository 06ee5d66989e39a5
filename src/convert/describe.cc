// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/convert/describe.h"

#include "src/base/number.h"
#include "src/convert/crashed_kernel.h"
#include "src/kernel/cpus.h"
#include "src/kernel/printk_log.h"

namespace vmcore::convert {
namespace {

KernelFacts kernel_facts(const kernel::GuestKernel& kernel) {
  KernelFacts facts;
  facts.release = kernel.info().release();
  facts.build_id = kernel.info().build_id().value_or("");
  facts.info_source = kernel.info_source();
  facts.phys_base = kernel.phys_base();
  facts.page_table_levels = kernel.page_tables().levels();
  if (const auto offset = kernel.info().value("KERNELOFFSET")) {
    std::string_view digits = *offset;
    facts.kaslr_offset = take_number<std::uint64_t>(digits, 16).value_or(0);
  }
  facts.panicked = kernel::has_panicked(kernel).value_or(false);
  if (const auto panic = kernel::read_capture_kernel(kernel)) {
    facts.capture_kernel = *panic;
  }
  return facts;
}

// By the note of the file alone: all that is left where the memory of the kernel is lost.
std::optional<KernelFacts> facts_of_note(const MemoryImage& image) {
  const Note* const note = image.find_note(kNoteNameVmcoreinfo, 0);
  const auto info = note != nullptr ? kernel::Vmcoreinfo::parse(note->desc)
                                    : fail(Errc::not_found, "no VMCOREINFO");
  if (!info) {
    return std::nullopt;
  }
  KernelFacts facts;
  facts.in_memory = false;
  facts.release = info->release();
  facts.build_id = info->build_id().value_or("");
  return facts;
}

// A CPU that Linux does not use takes a number that is free.
std::vector<unsigned> numbers_of_host(const kernel::CpuOrder& cpus) {
  std::vector<unsigned> numbers(cpus.order.size());
  for (unsigned position = 0; position < cpus.order.size(); ++position) {
    const unsigned cpu = cpus.order[position];
    numbers[cpu] = cpus.numbers[cpu].value_or(position);
  }
  return numbers;
}

std::vector<unsigned> cpu_numbers(const MemoryImage& image, const kernel::GuestKernel& kernel) {
  if (kernel.kallsyms() == nullptr) {
    return {};
  }
  const kernel::CpuOrder found = kernel::linux_cpu_order(kernel, *kernel.kallsyms(), image.cpus);
  if (std::ranges::any_of(found.numbers, [](const auto& number) { return number.has_value(); })) {
    return numbers_of_host(found);
  }
  // Registers that the crashed kernel saved do not tell the base of per-CPU data.
  auto saved = kernel::cpus_with_crash_notes(kernel, *kernel.kallsyms());
  return saved && saved->size() == image.cpus.size() ? *std::move(saved) : std::vector<unsigned>();
}

}  // namespace

Result<Description> describe(const MemoryImage& image, const ConvertOptions& options,
                             std::stop_token stop) {
  Description description;
  description.incomplete = image.file.incomplete;
  description.remarks = image.remarks;
  remark_on_newer_note(image, description.remarks);
  description.level_asked = description.level_reached = level_before(image);
  if (const auto before = read_provenance(image)) {
    description.level_asked = before->level_asked;
    description.level_reached = before->level_reached;
    description.capture = before->capture;
    description.remarks.insert(description.remarks.end(), before->remarks.begin(),
                               before->remarks.end());
  }
  TRY_ASSIGN(const Subject subject, find_subject(image, options.search, nullptr, options.hint));
  description.place = subject.place();
  description.remarks.insert(description.remarks.end(), subject.found.remarks.begin(),
                             subject.found.remarks.end());
  description.crashed = subject.crashed;
  const kernel::GuestKernel* const kernel = subject.kernel();
  description.crash_time = crash_time(image, kernel, options.host_event_time);
  if (kernel != nullptr) {
    description.kernel = kernel_facts(*kernel);
    description.cpu_numbers = cpu_numbers(subject.image(), *kernel);
    const auto log =
        kernel::read_printk_log(*kernel, [](const kernel::LogRecord&) { return true; });
    if (log && log->records != 0) {
      description.last_log_stamp = static_cast<double>(log->last_nanoseconds) / 1e9;
    }
  } else if (subject.found.doubted.empty()) {  // else a remark names what does not run
    description.kernel = facts_of_note(image);
  }
  const filters::PlanOptions plan_options{
      .level = 0, .threads = options.how.threads, .torn = options.torn || was_torn(image)};
  TRY_ASSIGN(description.plan, filters::make_plan(*subject.image().memory, kernel,
                                                  level_before(image), plan_options, stop));
  return description;
}

}  // namespace vmcore::convert
