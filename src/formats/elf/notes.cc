// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/formats/elf/notes.h"

#include <elf.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <string_view>
#include <utility>

#include "src/base/little_endian.h"

namespace vmcore::formats {
namespace {

constexpr std::uint64_t kNoteAlign = 4;

std::uint64_t padded(std::uint64_t size) { return (size + kNoteAlign - 1) & ~(kNoteAlign - 1); }

// x86-64's struct elf_prstatus (linux/elfcore.h), as far as it is used.
struct Prstatus {
  unsigned char before_pid[32];
  ul32 pid;
  unsigned char before_registers[76];
  ul64 r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi, orig_rax;
  ul64 rip, cs, rflags, rsp, ss, fs_base, gs_base, ds, es, fs, gs;
  ul32 fpvalid, padding;
};
static_assert(sizeof(Prstatus) == 336);

struct QemuSegment {
  ul32 selector, limit, flags, padding;
  ul64 base;
};

// QEMUCPUState of QEMU's target/i386/arch_dump.c.
struct QemuCpu {
  ul32 version, size;
  ul64 rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp, r8, r9, r10, r11, r12, r13, r14, r15;
  ul64 rip, rflags;
  QemuSegment cs, ds, es, fs, gs, ss, ldt, tr, gdt, idt;
  ul64 cr[5];
  ul64 kernel_gs_base;
};
static_assert(sizeof(QemuCpu) == 440);
constexpr std::uint32_t kQemuCpuVersion = 1;

// The registers that both notes and CpuState have under the same names.
template <class From, class To>
void copy_general(const From& from, To& to) {
  to.rax = from.rax, to.rbx = from.rbx, to.rcx = from.rcx, to.rdx = from.rdx;
  to.rsi = from.rsi, to.rdi = from.rdi, to.rbp = from.rbp, to.rsp = from.rsp;
  to.r8 = from.r8, to.r9 = from.r9, to.r10 = from.r10, to.r11 = from.r11;
  to.r12 = from.r12, to.r13 = from.r13, to.r14 = from.r14, to.r15 = from.r15;
  to.rip = from.rip, to.rflags = from.rflags;
}

Note prstatus_of(const CpuState& cpu) {
  Prstatus status{};
  status.pid = cpu.index + 1;
  copy_general(cpu, status);
  status.cs = cpu.cs.selector, status.ss = cpu.ss.selector;
  status.fs_base = cpu.fs.base, status.gs_base = cpu.gs.base;
  status.ds = cpu.ds.selector, status.es = cpu.es.selector;
  status.fs = cpu.fs.selector, status.gs = cpu.gs.selector;
  const auto bytes = as_bytes(status);
  return {"CORE", kNoteTypePrstatus, {bytes.begin(), bytes.end()}};
}

QemuSegment to_note(const Segment& segment) {
  return {segment.selector, segment.limit, segment.flags, 0, segment.base};
}

Segment from_note(const QemuSegment& segment) {
  return {segment.selector, segment.limit, segment.flags, segment.base};
}

// What NT_PRSTATUS tells of a segment register.
Segment selected(std::uint64_t selector, std::uint64_t base = 0) {
  return {.selector = static_cast<std::uint16_t>(selector), .limit = 0, .flags = 0, .base = base};
}

Note qemu_cpu_of(const CpuState& cpu) {
  QemuCpu note{};
  note.version = kQemuCpuVersion, note.size = sizeof note;
  copy_general(cpu, note);
  note.cs = to_note(cpu.cs), note.ds = to_note(cpu.ds), note.es = to_note(cpu.es);
  note.fs = to_note(cpu.fs), note.gs = to_note(cpu.gs), note.ss = to_note(cpu.ss);
  note.ldt = to_note(cpu.ldt.value_or(Segment{})), note.tr = to_note(cpu.tr.value_or(Segment{}));
  note.gdt = to_note(cpu.gdt.value_or(Segment{})), note.idt = to_note(cpu.idt.value_or(Segment{}));
  note.cr[0] = cpu.cr0.value_or(0), note.cr[2] = cpu.cr2.value_or(0);
  note.cr[3] = cpu.cr3.value_or(0), note.cr[4] = cpu.cr4.value_or(0);
  note.kernel_gs_base = cpu.kernel_gs_base.value_or(0);
  const auto bytes = as_bytes(note);
  return {std::string(kNoteNameQemu), 0, {bytes.begin(), bytes.end()}};
}

std::optional<CpuState> read_prstatus(const Note& note) {
  if (note.desc.size() != sizeof(Prstatus)) {
    return std::nullopt;
  }
  const auto status = *load<Prstatus>(note.desc, 0);
  CpuState cpu;
  copy_general(status, cpu);
  cpu.cs = selected(status.cs), cpu.ss = selected(status.ss);
  cpu.ds = selected(status.ds), cpu.es = selected(status.es);
  cpu.fs = selected(status.fs, status.fs_base), cpu.gs = selected(status.gs, status.gs_base);
  return cpu;
}

std::optional<CpuState> read_qemu_cpu(const Note& note) {
  const auto qemu = load<QemuCpu>(note.desc, 0);
  if (!qemu || qemu->version != kQemuCpuVersion || qemu->size < sizeof(QemuCpu)) {
    return std::nullopt;
  }
  CpuState cpu;
  copy_general(*qemu, cpu);
  cpu.cs = from_note(qemu->cs), cpu.ds = from_note(qemu->ds), cpu.es = from_note(qemu->es);
  cpu.fs = from_note(qemu->fs), cpu.gs = from_note(qemu->gs), cpu.ss = from_note(qemu->ss);
  cpu.ldt = from_note(qemu->ldt), cpu.tr = from_note(qemu->tr);
  cpu.gdt = from_note(qemu->gdt), cpu.idt = from_note(qemu->idt);
  cpu.cr0 = qemu->cr[0], cpu.cr2 = qemu->cr[2], cpu.cr3 = qemu->cr[3], cpu.cr4 = qemu->cr[4];
  cpu.kernel_gs_base = qemu->kernel_gs_base;
  return cpu;
}

struct NoteKind {
  std::string_view name;
  std::uint32_t type;
  std::optional<CpuState> (*read)(const Note&);
  std::string_view label;
};

constexpr NoteKind kQemuKind{kNoteNameQemu, 0, read_qemu_cpu, "QEMU CPU"};
constexpr NoteKind kPrstatusKind{"CORE", kNoteTypePrstatus, read_prstatus, "NT_PRSTATUS"};

std::vector<CpuState> read_kind(const NoteKind& kind, const std::vector<Note>& notes,
                                std::vector<Remark>& remarks) {
  std::vector<CpuState> cpus;
  unsigned index = 0;
  unsigned unread = 0;
  for (const Note& note : notes) {
    if (note.name != kind.name || note.type != kind.type) {
      continue;
    }
    if (std::optional<CpuState> cpu = kind.read(note)) {
      cpu->index = index;
      cpus.push_back(*cpu);
    } else {
      ++unread;
    }
    ++index;
  }
  if (unread != 0) {
    remarks.push_back({Errc::malformed, fmt::format("{} of {} {} notes have an unknown layout",
                                                    unread, index, kind.label)});
  }
  return cpus;
}

void append(std::vector<std::byte>& out, std::span<const std::byte> bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
  out.resize(padded(out.size()));
}

// The name without the NULs at its end.
std::string note_name(std::span<const std::byte> bytes) {
  std::string name;
  for (const std::byte byte : bytes) {
    name.push_back(static_cast<char>(byte));
  }
  name.resize(name.find_last_not_of('\0') + 1);
  return name;
}

}  // namespace

Result<std::vector<Note>> parse_notes(std::span<const std::byte> block, std::uint64_t offset) {
  std::vector<Note> notes;
  std::uint64_t at = 0;
  while (const auto header = load<Elf64_Nhdr>(block, at)) {
    const std::uint64_t where = offset + at;
    const std::uint64_t name_size = header->n_namesz;
    const std::uint64_t desc_size = header->n_descsz;
    if (name_size == 0 && desc_size == 0 && header->n_type == 0) {
      break;
    }
    const std::uint64_t name_at = at + sizeof(Elf64_Nhdr);
    const std::uint64_t desc_at = name_at + padded(name_size);
    if (desc_at > block.size() || desc_size > block.size() - desc_at) {
      return fail(Errc::malformed,
                  "note at {:#x}: its name ({} bytes) and contents ({} bytes) run past the end of "
                  "the notes",
                  where, name_size, desc_size);
    }
    Note note{note_name(block.subspan(name_at, name_size)), header->n_type, {}};
    if (note.name == kNoteNameVmcoreinfo && desc_size > kMaxVmcoreinfoSize) {
      return fail(Errc::limit, "note at {:#x}: VMCOREINFO of {} bytes, more than {}", where,
                  desc_size, kMaxVmcoreinfoSize);
    }
    if (notes.size() == kMaxNotes) {
      return fail(Errc::limit, "note at {:#x}: the file has more than {} notes", where, kMaxNotes);
    }
    const auto desc = block.subspan(desc_at, desc_size);
    note.desc.assign(desc.begin(), desc.end());
    notes.push_back(std::move(note));
    at = desc_at + padded(desc_size);
  }
  return notes;
}

NotesBlock serialise_notes(const std::vector<Note>& notes) {
  NotesBlock block;
  for (const Note& note : notes) {
    Elf64_Nhdr header{};
    header.n_namesz = note.name.empty() ? 0 : static_cast<Elf64_Word>(note.name.size() + 1);
    header.n_descsz = static_cast<Elf64_Word>(note.desc.size());
    header.n_type = note.type;
    append(block.bytes, as_bytes(header));
    append(block.bytes, std::as_bytes(std::span(note.name.c_str(), header.n_namesz)));
    if (note.name == kNoteNameVmcoreinfo && block.vmcoreinfo_size == 0) {
      block.vmcoreinfo_offset = block.bytes.size();
      block.vmcoreinfo_size = note.desc.size();
    }
    append(block.bytes, note.desc);
  }
  return block;
}

Result<> replace_note(std::vector<Note>& notes, const Note& note) {
  for (Note& have : notes) {
    if (have.name == note.name && have.type == note.type && have.desc.size() == note.desc.size()) {
      have = note;
      return {};
    }
  }
  return fail(Errc::invalid, "there is no note {} of {} bytes to replace", note.name,
              note.desc.size());
}

std::vector<CpuState> read_cpus(const std::vector<Note>& notes, std::vector<Remark>& remarks) {
  std::vector<CpuState> cpus = read_kind(kQemuKind, notes, remarks);
  return cpus.empty() ? read_kind(kPrstatusKind, notes, remarks) : cpus;
}

std::vector<Note> make_cpu_notes(std::span<const CpuState> cpus) {
  std::vector<Note> notes;
  std::ranges::transform(cpus, std::back_inserter(notes), prstatus_of);
  std::ranges::transform(cpus, std::back_inserter(notes), qemu_cpu_of);
  return notes;
}

void set_pid(Note& prstatus, std::int32_t pid) {
  if (prstatus.desc.size() == sizeof(Prstatus)) {
    const ul32 value(static_cast<std::uint32_t>(pid));
    std::ranges::copy(as_bytes(value), prstatus.desc.begin() + offsetof(Prstatus, pid));
  }
}

}  // namespace vmcore::formats
