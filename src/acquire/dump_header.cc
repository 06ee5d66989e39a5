// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/dump_header.h"

#include <elf.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <span>
#include <vector>

#include "src/base/little_endian.h"
#include "src/base/sys.h"

namespace vmcore::acquire {
namespace {

constexpr std::chrono::milliseconds kTimeout{60'000};
// At most 5 MiB, with 4096 vCPUs (800 bytes of notes each) and the largest VMCOREINFO (1 MiB) that
// QEMU accepts.
constexpr std::uint64_t kMostHeader = 16U << 20;

template <class Header, class Segment>
std::uint64_t header_end_of(std::span<const std::byte> bytes) {
  const auto header = load<Header>(bytes, 0);
  if (!header) {
    return sizeof(Header);
  }
  const std::uint64_t table = header->e_phoff;
  std::uint64_t end = table;
  for (unsigned i = 0; i < header->e_phnum && end < kMostHeader; ++i) {
    const auto segment = load<Segment>(bytes, table + i * sizeof(Segment));
    if (!segment) {
      return table + header->e_phnum * sizeof(Segment);
    }
    if (segment->p_type == PT_NOTE && segment->p_offset < kMostHeader) {
      end = std::max(end,
                     segment->p_offset + std::min<std::uint64_t>(segment->p_filesz, kMostHeader));
    }
  }
  return end;
}

// How much of the dump is needed, as far as its first bytes tell. QEMU writes class 32 where a
// guest is not in 64-bit mode and its memory ends below 4 GiB.
std::uint64_t header_end(std::span<const std::byte> bytes) {
  const bool narrow = bytes.size() > EI_CLASS && bytes[EI_CLASS] == std::byte{ELFCLASS32};
  return narrow ? header_end_of<Elf32_Ehdr, Elf32_Phdr>(bytes)
                : header_end_of<Elf64_Ehdr, Elf64_Phdr>(bytes);
}

}  // namespace

lease::Terms header_terms() {
  constexpr std::chrono::seconds kMost(10);
  return {.until = std::chrono::steady_clock::now() + kMost, .guarded = true, .whole = true};
}

Result<Fd> read_dump_header(int pipe) {
  std::vector<std::byte> bytes;
  while (bytes.size() < std::min(header_end(bytes), kMostHeader)) {
    pollfd wait{pipe, POLLIN, 0};
    const int ready = ::poll(&wait, 1, static_cast<int>(kTimeout.count()));
    if (ready < 0 && errno == EINTR) {
      continue;
    }
    if (ready <= 0) {
      return fail(Errc::busy, "QEMU's dump did not begin in time");
    }
    constexpr std::size_t kPortion = 64U << 10;
    const std::size_t before = bytes.size();
    bytes.resize(before + kPortion);
    const ssize_t got = ::read(pipe, bytes.data() + before, kPortion);
    if (got < 0 && errno != EINTR) {
      return fail_errno(errno, "QEMU's dump");
    }
    bytes.resize(before + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got == 0) {
      break;  // whoever reads it will say what is missing
    }
  }
  TRY_ASSIGN(Fd file, make_memory_file("header"));
  TRY(sys::pwrite_full(file.get(), bytes, 0));
  return file;
}

}  // namespace vmcore::acquire
