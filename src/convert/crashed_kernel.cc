// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/convert/crashed_kernel.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "src/base/all_zero.h"
#include "src/convert/crashed_memory.h"
#include "src/formats/elf/notes.h"
#include "src/kernel/arch/arch.h"
#include "src/kernel/capture_kernel.h"
#include "src/kernel/cpu_anchors.h"
#include "src/kernel/elfcorehdr.h"
#include "src/kernel/proof.h"

namespace vmcore::convert {
namespace {

using kernel::CoreHeader;
using kernel::CoreLoad;
using kernel::GuestKernel;

bool runs(const CpuState& cpu, const MemoryImage& image, const GuestKernel& kernel) {
  return kernel::runs(kernel::page_tables_of(image, cpu), kernel);
}

std::optional<PhysAddr> place_of(const MemoryImage& image, const CpuState& cpu) {
  return kernel::architecture_of(image.machine).place_of(cpu);
}

bool is_inside(const CoreHeader& header, PhysAddr address) {
  return std::ranges::any_of(header.loads,
                             [&](const CoreLoad& load) { return load.range.contains(address); });
}

bool any_cpu_outside(const MemoryImage& image, const CoreHeader& header) {
  return std::ranges::any_of(image.cpus, [&](const CpuState& cpu) {
    const auto place = place_of(image, cpu);
    return place && !is_inside(header, *place);
  });
}

// The guest has been booted anew: another kernel runs in the memory of the one that crashed.
bool is_past(const MemoryImage& image, const std::vector<GuestKernel>& kernels,
             const CoreHeader& header, const GuestKernel& crashed) {
  return std::ranges::any_of(kernels, [&](const GuestKernel& each) {
    const PhysAddr root = each.page_tables().root();
    return root != crashed.page_tables().root() && is_inside(header, root) &&
           std::ranges::any_of(image.cpus,
                               [&](const CpuState& cpu) { return runs(cpu, image, each); });
  });
}

bool is_capture_kernel(const GuestKernel& kernel) {
  return kernel::elfcorehdr_from_cmdline(kernel).has_value();
}

// Whether a capture kernel may have taken over: looked at for every dump, so without a search.
bool may_be_captured(const MemoryImage& image, const std::vector<GuestKernel>& kernels) {
  if (std::ranges::any_of(kernels, is_capture_kernel)) {
    return true;
  }
  return !kernels.empty() && std::ranges::any_of(image.cpus, [&](const CpuState& cpu) {
    return place_of(image, cpu) && !runs(cpu, image, kernels.front());
  });
}

// The headers that there may be, the likeliest first. What a kernel was told is believed of those
// that run; where memory is kept free for a capture kernel, of the crashed one as well, which runs
// no more.
Result<std::vector<CoreHeader>> find_headers(const MemoryImage& image,
                                             const kernel::FoundKernels& found) {
  std::vector<CoreHeader> headers;
  for (const GuestKernel& each : found.kernels) {
    const auto told = kernel::elfcorehdr_from_cmdline(each);
    if (auto header = told ? kernel::read_elfcorehdr(*image.memory, *told)
                           : Result<CoreHeader>(fail(Errc::not_found, "not known"))) {
      headers.push_back(*std::move(header));
    }
  }
  if (!headers.empty()) {
    return headers;
  }
  std::vector<const GuestKernel*> all;
  for (const GuestKernel& each : found.kernels) {
    all.push_back(&each);
  }
  for (const kernel::DoubtedKernel& each : found.doubted) {
    all.push_back(&each.kernel);
  }
  for (const GuestKernel* each : all) {
    if (each->kallsyms() == nullptr) {
      return kernel::search_elfcorehdr(*image.memory, {{0}, kMaxPhysAddr});
    }
    if (const auto panic = kernel::read_capture_kernel(*each); panic && panic->region.size != 0) {
      TRY_ASSIGN(auto more, kernel::search_elfcorehdr(*image.memory, panic->region));
      std::ranges::move(more, std::back_inserter(headers));
    }
  }
  return headers;
}

// The notes that the header leads to: VMCOREINFO, and NT_PRSTATUS of each CPU that saved it.
// Nothing where they do not tell of a crash.
std::optional<std::vector<Note>> crash_notes(const PhysicalMemory& memory,
                                             const CoreHeader& header) {
  std::vector<Note> vmcoreinfo;
  std::vector<Note> registers;
  std::uint64_t all = 0;
  for (const PhysRange& range : header.notes) {
    all += range.size;
    if (all > formats::kMaxNotesSize || registers.size() > formats::kMaxNotes) {
      return std::nullopt;
    }
    std::vector<std::byte> block(range.size);
    if (!read_exactly(memory, range.begin, block)) {
      continue;
    }
    auto notes = formats::parse_notes(block, range.begin.value);
    for (Note& note : notes ? *notes : std::vector<Note>()) {
      if (note.name == kNoteNameVmcoreinfo && vmcoreinfo.empty()) {
        vmcoreinfo.push_back(std::move(note));
      } else if (note.name == "CORE" && note.type == kNoteTypePrstatus) {
        registers.push_back(std::move(note));
      }
    }
  }
  const auto info = vmcoreinfo.empty()
                        ? Result<kernel::Vmcoreinfo>(fail(Errc::not_found, "no VMCOREINFO"))
                        : kernel::Vmcoreinfo::parse(vmcoreinfo.front().desc);
  if (!info || !info->crash_time() || registers.empty()) {
    return std::nullopt;
  }
  std::ranges::move(registers, std::back_inserter(vmcoreinfo));
  return vmcoreinfo;
}

// Before the capture kernel's first instructions have saved the first 640 KiB, these are still in
// their own place. There are always bytes in them: the BIOS data area's. Where the copy was lost
// instead, the capture kernel may have written to that place: a remark tells.
void use_what_is_saved(const PhysicalMemory& memory, std::vector<CoreLoad>& loads,
                       std::vector<Remark>& remarks) {
  for (CoreLoad& load : loads) {
    if (load.from == load.range.begin) {
      continue;
    }
    std::vector<std::byte> saved(load.range.size);
    const bool readable = read_exactly(memory, load.from, saved).has_value();
    if (!readable || all_zero(saved)) {
      remarks.push_back(
          {readable ? Errc::not_found : Errc::unreadable,
           fmt::format("the copy of {:#x}-{:#x} that the crashed kernel's core header names, at "
                       "{:#x}, {}: this memory is read from its own place, where the capture "
                       "kernel may have written",
                       load.range.begin.value, load.range.end().value - 1, load.from.value,
                       readable ? "holds only zeros" : "cannot be read")});
      load.from = load.range.begin;
    }
  }
}

std::shared_ptr<const MemoryImage> crashed_image(const MemoryImage& whole, const CoreHeader& header,
                                                 std::vector<Note> notes,
                                                 std::vector<Remark>& remarks) {
  auto image = std::make_shared<MemoryImage>();
  image->machine = whole.machine;
  image->file = whole.file;
  image->notes = std::move(notes);
  image->cpus = formats::read_cpus(image->notes, remarks);
  for (const Note& note : whole.notes) {
    const bool of_cpu =
        note.name == kNoteNameQemu || (note.name == "CORE" && note.type == kNoteTypePrstatus);
    if (!of_cpu && note.name != kNoteNameVmcoreinfo) {
      image->notes.push_back(note);
    }
  }
  std::vector<CoreLoad> loads = header.loads;
  use_what_is_saved(*whole.memory, loads, remarks);
  image->memory = std::make_unique<CrashedMemory>(*whole.memory, std::move(loads));
  return image;
}

// The hole around the header: what was kept free for the capture kernel.
std::string left_out(const CoreHeader& header) {
  const auto after = std::ranges::upper_bound(
      header.loads, header.place, {}, [](const CoreLoad& load) { return load.range.begin; });
  const PhysAddr begin = after == header.loads.begin() ? PhysAddr{} : std::prev(after)->range.end();
  return after == header.loads.end()
             ? fmt::format("from {:#x} on", begin.value)
             : fmt::format("{:#x}-{:#x}", begin.value, after->range.begin.value - 1);
}

// What runs instead of the crashed kernel.
std::string runner(const std::vector<GuestKernel>& kernels, const GuestKernel& crashed) {
  for (const GuestKernel& each : kernels) {
    if (each.page_tables().root() != crashed.page_tables().root()) {
      return fmt::format("the capture kernel {}", each.info().release());
    }
  }
  return "the running kernel (a capture kernel that has just started)";
}

void remark_on(const Subject& subject, const std::vector<GuestKernel>& in_whole,
               const CoreHeader& header, std::vector<Remark>& remarks) {
  const GuestKernel& crashed = subject.found.kernels.front();
  remarks.push_back(
      {Errc::guest_state,
       fmt::format("two kernels are in memory: the crashed one, {}, is used, with the registers "
                   "that it saved; the memory of {}, {}, is left out",
                   crashed.info().release(), runner(in_whole, crashed), left_out(header)),
       Severity::fact});
  const std::size_t saved = subject.crashed->cpus.size();
  if (saved < subject.whole->cpus.size()) {
    remarks.push_back(
        {Errc::not_found, fmt::format("the crashed kernel saved the registers of {} of {} CPUs",
                                      saved, subject.whole->cpus.size())});
  }
}

void doubt_all(kernel::FoundKernels& found, const std::string& why) {
  for (GuestKernel& kernel : found.kernels) {
    found.doubted.push_back({std::move(kernel), why});
  }
  found.kernels.clear();
  found.remarks.push_back(kernel::remark_on_doubted(found));
}

// Which of the kernels that run is none to filter by.
void doubt_what_does_not_tell(kernel::FoundKernels& found) {
  const auto captures = std::ranges::count_if(found.kernels, is_capture_kernel);
  const bool crashed = std::ranges::any_of(found.kernels, [](const GuestKernel& kernel) {
    return kernel.info().crash_time().has_value();
  });
  if (captures != 0 && captures == std::ssize(found.kernels)) {
    // The memory of the kernel that crashed is none of its own: it would be left out.
    doubt_all(found, "this is a capture kernel, and the kernel that crashed was not found");
  } else if (captures == 0 && found.kernels.size() > 1 && !crashed) {
    // After a kexec some vCPUs stand still in the kernel before, whose memory is in use again.
    doubt_all(found, "other vCPUs run another kernel");
  }
}

}  // namespace

Result<Subject> find_subject(const MemoryImage& image, kernel::Search search,
                             const kernel::FoundKernels* before,
                             const std::optional<InfoPlace>& hint) {
  Subject subject;
  subject.whole = &image;
  TRY_ASSIGN(subject.found, kernel::find_kernels(image, search, before, hint));
  if (!may_be_captured(image, subject.found.kernels)) {
    return subject;
  }
  TRY_ASSIGN(const std::vector<CoreHeader> headers, find_headers(image, subject.found));
  for (const CoreHeader& header : headers) {
    auto notes = crash_notes(*image.memory, header);
    if (!notes || !any_cpu_outside(image, header)) {
      continue;
    }
    Subject crashed{{}, nullptr, &image};
    std::vector<Remark> remarks;
    crashed.crashed = crashed_image(image, header, *std::move(notes), remarks);
    TRY_ASSIGN(crashed.found, kernel::find_kernels(*crashed.crashed, kernel::Search::registers));
    if (crashed.found.kernels.empty() ||
        is_past(image, subject.found.kernels, header, crashed.found.kernels.front())) {
      continue;
    }
    remark_on(crashed, subject.found.kernels, header, remarks);
    std::ranges::move(remarks, std::back_inserter(crashed.found.remarks));
    return crashed;
  }
  if (std::ranges::any_of(subject.found.kernels, is_capture_kernel)) {
    subject.found.remarks.push_back(
        {Errc::not_found,
         image.cpus.empty()
             ? "a capture kernel is in memory; whether it runs is not known without registers: use "
               "--pause, or dump the guest"
             : "a capture kernel is in memory, but not the ELF core header and registers that a "
               "crashed kernel leaves for it: the registers are the present ones"});
  }
  if (kernel::tells_page_tables(image)) {
    doubt_what_does_not_tell(subject.found);
  }
  return subject;
}

}  // namespace vmcore::convert
