// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/convert/normalise.h"

#include <algorithm>
#include <iterator>
#include <span>
#include <utility>

#include "src/base/number.h"
#include "src/formats/elf/notes.h"
#include "src/image/page.h"
#include "src/kernel/arch/arch.h"
#include "src/kernel/cpus.h"
#include "src/kernel/proof.h"

namespace vmcore::convert {
namespace {

bool is_vmcoreinfo(const Note& note) { return note.name == kNoteNameVmcoreinfo && note.type == 0; }
bool is_prstatus(const Note& note) { return note.name == "CORE" && note.type == kNoteTypePrstatus; }
bool is_qemu_cpu(const Note& note) { return note.name == kNoteNameQemu && note.type == 0; }
bool is_provenance(const Note& note) {
  return note.name == kNoteNameProvenance && note.type == kNoteTypeProvenance;
}

// The notes that `is_kind` picks, one a vCPU, in the order given; as they were where their number
// is not that of the vCPUs.
std::vector<Note> per_cpu_notes(const MemoryImage& image, bool (*is_kind)(const Note&),
                                const std::vector<unsigned>& order) {
  std::vector<Note> found;
  std::ranges::copy_if(image.notes, std::back_inserter(found), is_kind);
  if (found.size() != order.size()) {
    return found;
  }
  std::vector<Note> ordered;
  for (const unsigned position : order) {
    ordered.push_back(std::move(found[position]));
  }
  return ordered;
}

Note make_vmcoreinfo_note(const kernel::GuestKernel& kernel) {
  Note note{std::string(kNoteNameVmcoreinfo), 0, {}};
  const auto bytes = std::as_bytes(std::span(kernel.info().text()));
  note.desc.assign(bytes.begin(), bytes.end());
  return note;
}

// Empty, and a remark, where Linux's order is not known: the notes then stay as they were.
kernel::CpuOrder cpu_order(const MemoryImage& image, const kernel::GuestKernel& kernel,
                           std::vector<Remark>& remarks) {
  const bool of_host = std::ranges::any_of(image.notes, is_qemu_cpu);
  if (!of_host) {
    return {};  // the crashed kernel's own: in the order of Linux's CPUs (/proc/vmcore)
  }
  if (kernel.kallsyms() == nullptr) {
    if (image.cpus.size() > 1) {
      remarks.push_back({Errc::not_found,
                         "registers are in the order of the vCPUs, which may differ from Linux's "
                         "CPU numbers: the kernel's symbols cannot be read"});
    }
    return {};
  }
  kernel::CpuOrder found = kernel::linux_cpu_order(kernel, *kernel.kallsyms(), image.cpus);
  remarks.insert(remarks.end(), found.remarks.begin(), found.remarks.end());
  return found;
}

// QEMU writes the number of the vCPU, from 1 on, as process ID. drgn finds the registers of a Linux
// CPU by it (since its a47fa1f3 of 2024, where VMCOREINFO has no CRASHTIME).
void number_cpus(const kernel::CpuOrder& cpus, std::vector<Note>& prstatus) {
  for (unsigned position = 0; position < prstatus.size(); ++position) {
    const unsigned number = cpus.numbers[cpus.order[position]].value_or(position);
    formats::set_pid(prstatus[position], static_cast<std::int32_t>(number + 1));
  }
}

std::vector<Note> make_notes(const MemoryImage& image, const kernel::GuestKernel* kernel,
                             std::vector<Remark>& remarks) {
  std::vector<Note> notes;
  kernel::CpuOrder cpus;
  if (kernel != nullptr) {
    notes.push_back(make_vmcoreinfo_note(*kernel));
    cpus = cpu_order(image, *kernel, remarks);
  }
  std::vector<Note> prstatus = per_cpu_notes(image, is_prstatus, cpus.order);
  if (prstatus.size() == cpus.order.size()) {
    number_cpus(cpus, prstatus);
  }
  std::ranges::move(prstatus, std::back_inserter(notes));
  std::ranges::move(per_cpu_notes(image, is_qemu_cpu, cpus.order), std::back_inserter(notes));
  // Where the vCPUs tell what they run, and it is not what the note describes.
  const bool disproved = kernel == nullptr && kernel::tells_page_tables(image) &&
                         !image.file.incomplete && std::ranges::any_of(image.notes, is_vmcoreinfo);
  if (disproved) {
    remarks.push_back(
        {Errc::guest_state, "VMCOREINFO is left out: no vCPU runs the kernel that it describes"});
  }
  for (const Note& note : image.notes) {
    const bool replaced = (kernel != nullptr || disproved) && is_vmcoreinfo(note);
    if (!is_prstatus(note) && !is_qemu_cpu(note) && !is_provenance(note) && !replaced) {
      notes.push_back(note);
    }
  }
  return notes;
}

std::vector<formats::VirtSegment> make_segments(const kernel::GuestKernel& kernel,
                                                const filters::PlanSummary& plan) {
  std::vector<formats::VirtSegment> segments;
  const auto range = kernel.image_range();
  if (const auto image =
          image_segment(range, kernel.arch().image_to_physical(range.begin, kernel.phys_base()))) {
    segments.push_back(*image);
  }
  if (const auto page_offset = kernel.page_offset()) {
    segments.push_back({{{0}, address_of(plan.ram_end).value}, *page_offset});
  }
  return segments;
}

// Field `index` of the kernel's own struct new_utsname (include/uapi/linux/utsname.h: sysname,
// nodename, release, version, machine, 65 bytes each); empty where it cannot be had.
std::string utsname_field(const kernel::GuestKernel& kernel, std::uint64_t index) {
  constexpr std::size_t kFieldSize = 65;
  const auto names = kernel.info().symbol("init_uts_ns");
  const auto offset = kernel.info().offset("uts_namespace.name");
  std::string text(kFieldSize, '\0');
  if (!names || !offset ||
      !kernel.read_exactly(*names + (*offset + index * kFieldSize),
                           std::as_writable_bytes(std::span(text)))) {
    return {};
  }
  text.resize(std::min(text.find('\0'), text.size()));
  return text;
}

}  // namespace

std::optional<formats::VirtSegment> image_segment(kernel::GuestKernel::VirtRange image,
                                                  PhysAddr physical) {
  const bool possible =
      image.size != 0 && image.size <= kMaxPhysAddr && physical.value <= kMaxPhysAddr - image.size;
  return possible ? std::optional(formats::VirtSegment{{physical, image.size}, image.begin})
                  : std::nullopt;
}

CrashTime crash_time(const MemoryImage& image, const kernel::GuestKernel* kernel,
                     std::optional<std::uint64_t> host_event_time) {
  if (kernel != nullptr) {
    if (const auto text = kernel->info().value("CRASHTIME")) {
      std::string_view digits = *text;
      const auto seconds = take_number<std::uint64_t>(digits);
      if (seconds.value_or(0) != 0) {
        return {seconds, TimeSource::guest};
      }
    }
  }
  if (const auto before = read_provenance(image); before && before->crash_time) {
    return {before->crash_time, before->crash_time_source};
  }
  if (host_event_time) {
    return {host_event_time, TimeSource::host_event};
  }
  if (image.file.crash_time) {
    return {image.file.crash_time, TimeSource::file_header};
  }
  return {};
}

formats::DumpHeader make_header(const MemoryImage& image, const kernel::GuestKernel* kernel,
                                const filters::PlanSummary& plan, const CrashTime& time,
                                std::vector<Remark>& remarks) {
  formats::DumpHeader header;
  header.machine = image.machine;
  header.level = plan.level_reached;
  header.crash_time = time.seconds;
  header.cpu_count = static_cast<unsigned>(image.cpus.size());
  header.ram_end = plan.ram_end;
  header.ram_pages = plan.ram_pages;
  header.kept_pages = plan.kept_pages;
  header.notes = make_notes(image, kernel, remarks);
  if (kernel != nullptr) {
    header.release = kernel->info().release();
    header.node_name = utsname_field(*kernel, 1);
    header.version = utsname_field(*kernel, 3);
    header.phys_base = kernel->phys_base();
    header.segments = make_segments(*kernel, plan);
    if (!kernel->page_offset()) {
      remarks.push_back({Errc::not_found,
                         "the address of the direct map is not known: ELF program headers have no "
                         "virtual addresses for it"});
    }
  }
  return header;
}

Provenance make_provenance(const MemoryImage& image, const filters::PlanSummary& plan,
                           const CrashTime& time, const std::optional<Capture>& capture,
                           const std::vector<Remark>& remarks) {
  Provenance provenance{.version = VMCORECTL_VERSION,
                        .level_asked = plan.level_asked,
                        .level_reached = plan.level_reached,
                        .crash_time = time.seconds,
                        .crash_time_source = time.source,
                        .capture = capture,
                        .pages_by_class = plan.pages_by_class,
                        .remarks = remarks};
  if (const auto before = read_provenance(image); before && before->capture) {
    if (!capture) {
      provenance.capture = before->capture;
    } else {
      provenance.capture->tag = before->capture->tag;  // what a guest sends has its own note
    }
  }
  return provenance;
}

}  // namespace vmcore::convert
