// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/builders/dump_builder.h"

#include <elf.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <random>

#include "src/base/sys.h"
#include "src/formats/elf/notes.h"
#include "src/formats/kdump/layout.h"
#include "src/image/page.h"

namespace vmcore::builders {
namespace {

void append(Bytes& out, std::span<const std::byte> bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
}

void align(Bytes& out, std::size_t to) { out.resize((out.size() + to - 1) / to * to); }

void append_big64(Bytes& out, std::uint64_t value) {
  for (int shift = 56; shift >= 0; shift -= 8) {
    out.push_back(static_cast<std::byte>(value >> shift & 0xff));
  }
}

Elf64_Phdr load_header(const ElfLoad& load, std::uint64_t offset) {
  Elf64_Phdr header{};
  header.p_type = PT_LOAD;
  header.p_offset = offset;
  header.p_paddr = load.physical;
  header.p_filesz = load.bytes.size();
  header.p_memsz = load.bytes.size() + load.tail;
  return header;
}

struct StoredPage {
  Bytes bytes;
  std::uint32_t flags = 0;
};

StoredPage stored(const KdumpPage& page) {
  if (page.codec == Codec::none) {
    return {page.bytes, 0};
  }
  Bytes out(formats::compress_room(kPageSize));
  const auto compressor = formats::make_compressor(page.codec, std::nullopt);
  const std::size_t size = (*compressor)->compress(page.bytes, out);
  if (size == 0) {
    return {page.bytes, 0};
  }
  out.resize(size);
  return {out, formats::codec_flag(page.codec)};
}

void set_bit(Bytes& bitmap, std::uint64_t bit) {
  bitmap[bit / 8] |= static_cast<std::byte>(1U << bit % 8);
}

}  // namespace

Fd memory_file(std::span<const std::byte> contents) {
  Fd file(::memfd_create("dump", 0));
  if (!file || !sys::pwrite_full(file.get(), contents, 0)) {
    std::abort();
  }
  return file;
}

Bytes file_contents(int fd) {
  Bytes bytes(*sys::file_size(fd));
  if (!sys::pread_full(fd, bytes, 0)) {
    std::abort();
  }
  return bytes;
}

Bytes pages(std::uint64_t seed, std::size_t count) {
  Bytes bytes(count * kPageSize);
  for (std::size_t at = 0; at < bytes.size(); at += 8) {
    const std::uint64_t word = seed << 40 | at / kPageSize << 20 | at % 256 | 1;
    std::memcpy(bytes.data() + at, &word, sizeof(word));
  }
  return bytes;
}

Bytes random_page(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  Bytes bytes(kPageSize);
  for (std::size_t at = 0; at < kPageSize; at += 8) {
    const std::uint64_t word = random();
    std::memcpy(bytes.data() + at, &word, sizeof(word));
  }
  return bytes;
}

Bytes zeros(std::size_t size) { return Bytes(size); }

Bytes joined(std::initializer_list<Bytes> parts) {
  Bytes all;
  for (const Bytes& part : parts) {
    append(all, part);
  }
  return all;
}

Bytes text(std::string_view characters) {
  Bytes bytes;
  append(bytes, std::as_bytes(std::span(characters.data(), characters.size())));
  return bytes;
}

Note vmcoreinfo_note(std::string_view contents) { return {"VMCOREINFO", 0, text(contents)}; }

Note prstatus_note(std::uint64_t rip, std::uint64_t rsp) {
  Note note{"CORE", 1, zeros(336)};
  poke(note.desc, 112 + 16 * 8, rip);
  poke(note.desc, 112 + 17 * 8, std::uint64_t{0x10});
  poke(note.desc, 112 + 19 * 8, rsp);
  return note;
}

Note qemu_note(std::uint64_t rip, std::uint64_t cr3) {
  Note note{"QEMU", 0, zeros(440)};
  poke(note.desc, 0, std::uint32_t{1});
  poke(note.desc, 4, std::uint32_t{440});
  poke(note.desc, 8 + 16 * 8, rip);
  poke(note.desc, 152, std::uint32_t{0x10});                  // cs
  poke(note.desc, 152 + 4 * 24 + 16, std::uint64_t{0x6500});  // gs base
  poke(note.desc, 152 + 9 * 24 + 16, std::uint64_t{0x1d70});  // idt base
  poke(note.desc, 392 + 3 * 8, cr3);
  poke(note.desc, 432, std::uint64_t{0x7700});  // kernel_gs_base
  return note;
}

Bytes ElfDump::build() const {
  const std::uint64_t count = loads.size() + 1;
  const Bytes note_bytes = formats::serialise_notes(notes).bytes;
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_type = ET_CORE;
  header.e_machine = EM_X86_64;
  header.e_flags = flags;
  header.e_ehsize = like_qemu ? sizeof(void*) : sizeof(Elf64_Ehdr);
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phoff = kElfFirstPhdr + (like_qemu ? 2 * sizeof(Elf64_Shdr) : 0);
  header.e_phnum = extended_count ? PN_XNUM : static_cast<Elf64_Half>(count);
  const std::uint64_t headers_end = header.e_phoff + count * sizeof(Elf64_Phdr);
  header.e_shoff = like_qemu ? sizeof(Elf64_Ehdr) : headers_end;
  Elf64_Shdr section{};
  section.sh_info = static_cast<Elf64_Word>(count);
  const std::uint64_t notes_at = headers_end + (like_qemu ? 0 : sizeof(Elf64_Shdr));
  std::uint64_t data_at = notes_at + note_bytes.size();
  if (!like_qemu) {
    data_at = (data_at + kPageSize - 1) / kPageSize * kPageSize;
  }
  Bytes out(notes_at);
  poke(out, 0, header);
  poke(out, header.e_shoff, section);
  Elf64_Phdr note{};
  note.p_type = PT_NOTE;
  note.p_offset = notes_at;
  note.p_filesz = note_bytes.size();
  poke(out, header.e_phoff, note);
  append(out, note_bytes);
  out.resize(data_at);
  for (std::size_t i = 0; i < loads.size(); ++i) {
    poke(out, header.e_phoff + (i + 1) * sizeof(Elf64_Phdr), load_header(loads[i], out.size()));
    append(out, loads[i].bytes);
  }
  return out;
}

Bytes KdumpDump::build() const {
  const std::uint64_t max_mapnr = pages.empty() ? 0 : pages.back().pfn + 1;
  const std::uint64_t bitmap_blocks = (max_mapnr + kPageSize * 8 - 1) / (kPageSize * 8);
  Bytes bitmap1(bitmap_blocks * kPageSize);
  Bytes bitmap2(bitmap_blocks * kPageSize);
  std::uint64_t count = 0;
  for (const KdumpPage& page : pages) {
    set_bit(bitmap1, page.pfn);
    if (page.kind != PageKind::excluded) {
      set_bit(bitmap2, page.pfn);
      ++count;
    }
  }
  Bytes extra = formats::serialise_notes(notes).bytes;
  formats::KdumpSubHeader sub{};
  sub.dump_level = level;
  sub.offset_note = kPageSize + sizeof(sub);
  sub.size_note = extra.size();
  sub.offset_vmcoreinfo = kPageSize + sizeof(sub) + extra.size();
  sub.size_vmcoreinfo = vmcoreinfo.size();
  sub.max_mapnr_64 = max_mapnr;
  append(extra, text(vmcoreinfo));

  formats::KdumpHeader header{};
  std::ranges::copy(formats::kKdumpSignature, header.signature);
  header.version = version;
  std::ranges::copy(machine, header.machine);
  header.seconds = crash_time;
  header.status = status;
  header.block_size = kPageSize;
  header.sub_header_blocks =
      static_cast<std::uint32_t>((sizeof(sub) + extra.size()) / kPageSize + 1);
  header.bitmap_blocks = static_cast<std::uint32_t>(2 * bitmap_blocks);
  header.max_mapnr = static_cast<std::uint32_t>(max_mapnr);
  header.written_blocks = like_ours ? static_cast<std::uint32_t>(count) : 0;

  Bytes out(kPageSize);
  poke(out, 0, header);
  out.resize(kPageSize + sizeof(sub));
  poke(out, kPageSize, sub);
  append(out, extra);
  out.resize((1 + header.sub_header_blocks) * kPageSize);
  append(out, bitmap1);
  append(out, bitmap2);
  const std::uint64_t descs = out.size();
  std::uint64_t zero_page = descs + count * sizeof(formats::PageDesc);
  if (like_ours) {
    zero_page = (zero_page + kPageSize - 1) / kPageSize * kPageSize;
  }
  out.resize(zero_page + kPageSize);
  std::uint64_t rank = 0;
  for (const KdumpPage& page : pages) {
    formats::PageDesc desc{};
    if (page.kind == PageKind::excluded) {
      continue;
    }
    if (page.kind == PageKind::zero) {
      desc.offset = zero_page;
      desc.size = kPageSize;
    } else if (page.kind == PageKind::data) {
      const StoredPage data = stored(page);
      desc.offset = out.size();
      desc.size = static_cast<std::uint32_t>(data.bytes.size());
      desc.flags = data.flags;
      append(out, data.bytes);
    }
    poke(out, descs + rank++ * sizeof(desc), desc);
  }
  return out;
}

KdumpParts::KdumpParts(std::span<const std::byte> file) {
  const auto header = *load<formats::KdumpHeader>(file, 0);
  const std::uint64_t bitmap = std::uint64_t{header.bitmap_blocks} / 2 * kPageSize;
  ram = (1 + std::uint64_t{header.sub_header_blocks}) * kPageSize;
  kept = ram + bitmap;
  descs = kept + bitmap;
}

void flip_bit(Bytes& bytes, std::uint64_t bitmap, std::uint64_t bit) {
  bytes[bitmap + bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
}

Bytes flattened_header() {
  Bytes out = text("makedumpfile");
  out.resize(16);
  append_big64(out, 1);
  append_big64(out, 1);
  align(out, 4096);
  return out;
}

Bytes flattened_record(std::uint64_t offset, std::span<const std::byte> data) {
  Bytes out;
  append_big64(out, offset);
  append_big64(out, data.size());
  append(out, data);
  return out;
}

Bytes flattened_end() {
  Bytes out;
  append_big64(out, ~0ULL);
  append_big64(out, ~0ULL);
  return out;
}

Bytes flattened(std::span<const std::byte> file, std::size_t record_size) {
  Bytes out = flattened_header();
  for (std::size_t at = 0; at < file.size(); at += record_size) {
    append(out, flattened_record(at, file.subspan(at, std::min(record_size, file.size() - at))));
  }
  append(out, flattened_end());
  return out;
}

}  // namespace vmcore::builders
