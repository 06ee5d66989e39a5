// SPDX-License-Identifier: GPL-2.0-or-later
// make_dump KIND-LAYOUT OUT: writes a dump of a synthetic guest of 64 MiB, for tests of the command
// line. KIND: elf, qemu (as QEMU lays ELF out), kdump, flattened, slow (ELF, 224 MiB that take long
// to compress), bare (ELF without any kernel). LAYOUT: see GuestBuilder.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>

#include "src/base/all_zero.h"
#include "src/base/sys.h"
#include "src/image/page.h"
#include "tests/builders/dump_builder.h"
#include "tests/builders/kernel_builder.h"

namespace vmcore {
namespace {

using builders::Bytes;
using testing::GuestBuilder;

constexpr std::uint64_t kSlowMebibytes = 224;

struct Guest {
  std::vector<Note> notes;
  Bytes memory;  // from 0 on
};

Guest build_guest(std::string_view layout, std::uint64_t mebibytes) {
  GuestBuilder builder(layout);
  builder.ram(mebibytes).pages(
      "2000 free 9\n2200 anon 4\n2210 cache\n2211 private_cache\n2212 shmem\n2213 slab\n"
      "2218 slab 3\n2220 anon\n2400 hugetlb 9\n2600 cache 3\n2700 kernel\n2701 kernel\n");
  builder.log(0, "Linux version test").log(1'500'000'000, "Kernel panic - not syncing: test", 1);
  const MemoryImage image = builder.build();
  Guest guest;
  guest.memory.resize(mebibytes << 20);
  static_cast<void>(image.memory->read({0}, guest.memory));
  Note registers = builders::qemu_note(builder.symbol("_stext").value, builder.root().value);
  builders::poke(registers.desc, 152 + 4 * 24 + 16, builder.per_cpu_offset(0));  // gs base
  guest.notes = {builders::prstatus_note(builder.symbol("_stext").value, 0), std::move(registers),
                 builders::vmcoreinfo_note(builder.vmcoreinfo_text())};
  return guest;
}

// Every word of the pages from 48 MiB on, where nothing is described, differs from the others.
void fill(Bytes& memory) {
  std::uint64_t word = 1;
  for (std::size_t at = 48 << 20; at + sizeof word <= memory.size(); at += sizeof word) {
    word = word * 6364136223846793005 + 1442695040888963407;
    const std::uint64_t value = word & 0xff00'ff00'00ff'00ff;  // compresses, with effort
    std::memcpy(memory.data() + at, &value, sizeof value);
  }
}

Bytes elf_of(Guest guest, bool like_qemu) {
  builders::ElfDump dump;
  dump.notes = std::move(guest.notes);
  dump.like_qemu = like_qemu;
  dump.loads.push_back({0, std::move(guest.memory)});
  return dump.build();
}

Bytes kdump_of(const Guest& guest) {
  builders::KdumpDump dump;
  dump.notes = guest.notes;
  for (std::uint64_t pfn = 0; pfn < guest.memory.size() / kPageSize; ++pfn) {
    const auto page = std::span(guest.memory).subspan(pfn * kPageSize, kPageSize);
    if (all_zero(page)) {
      dump.pages.push_back({.pfn = pfn, .kind = builders::PageKind::zero, .bytes = {}});
    } else {
      dump.pages.push_back({.pfn = pfn, .bytes = Bytes(page.begin(), page.end())});
    }
  }
  return dump.build();
}

Bytes make(std::string_view kind, std::string_view layout) {
  Guest guest = build_guest(layout, kind == "slow" ? kSlowMebibytes : 64);
  if (kind == "slow") {
    fill(guest.memory);
  }
  if (kind == "bare") {
    guest.notes.clear();
    std::fill(guest.memory.begin(), guest.memory.end(), std::byte{0x55});
  }
  if (kind == "kdump") {
    return kdump_of(guest);
  }
  const bool like_qemu = kind == "qemu";
  const Bytes elf = elf_of(std::move(guest), like_qemu);
  return kind == "flattened" ? builders::flattened(elf, 100'000) : elf;
}

// Leaves holes for pages of zeros.
bool write_sparse(const char* path, const Bytes& bytes) {
  const Fd file(::open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  bool good = static_cast<bool>(file);
  for (std::size_t at = 0; good && at < bytes.size(); at += kPageSize) {
    const auto page =
        std::span(bytes).subspan(at, std::min<std::size_t>(kPageSize, bytes.size() - at));
    good = all_zero(page) || sys::pwrite_full(file.get(), page, at).has_value();
  }
  return good && sys::truncate(file.get(), bytes.size()).has_value();
}

int run(int argc, char** argv) {
  const std::string_view what = argc == 3 ? argv[1] : "";
  const std::size_t dash = what.find('-');
  if (dash == std::string_view::npos) {
    std::fputs("usage: make_dump KIND-LAYOUT OUT\n", stderr);
    return 2;
  }
  if (!write_sparse(argv[2], make(what.substr(0, dash), what.substr(dash + 1)))) {
    std::perror(argv[2]);
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace vmcore

int main(int argc, char** argv) { return vmcore::run(argc, argv); }
