// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/kexec/unified_image.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "guest/kexec/kernel_image.h"
#include "src/base/little_endian.h"
#include "src/base/sys.h"

namespace vmcore::guest::kexec {
namespace {

constexpr std::uint64_t kMostKernel = 512U << 20;

// PE Format (learn.microsoft.com): the offset of the COFF header, the fields of that header that
// are used, and a section header.
constexpr std::uint64_t kAtCoff = 0x3c;
struct CoffHeader {
  char signature[4];  // "PE\0\0"
  ul16 machine;
  ul16 sections;
  char unused[12];
  ul16 optional_size;  // of the header between this one and the sections'
  ul16 characteristics;
};
static_assert(sizeof(CoffHeader) == 24);

struct SectionHeader {
  char name[8];
  ul32 size;  // without the padding
  ul32 address;
  ul32 file_size;
  ul32 file_offset;
  char unused[16];
};
static_assert(sizeof(SectionHeader) == 40);

// A file in memory that is open only for reading: the kernel refuses a file that is open for
// writing.
Result<Fd> copy_of(int file, FileRange range) {
  TRY_ASSIGN(const Fd copy, make_memory_file("kernel"));
  std::vector<std::byte> some(1U << 20);
  for (std::uint64_t done = 0; done < range.size; done += some.size()) {
    some.resize(std::min<std::uint64_t>(some.size(), range.size - done));
    TRY_ASSIGN(const std::size_t got, sys::pread_full(file, some, range.offset + done));
    if (got < some.size()) {
      return fail(Errc::truncated, "the file ends inside its .linux section");
    }
    TRY(sys::write_full(copy.get(), some));
  }
  Fd kernel(::open(fmt::format("/proc/self/fd/{}", copy.get()).c_str(), O_RDONLY | O_CLOEXEC));
  return kernel ? Result<Fd>(std::move(kernel)) : fail_errno(errno, "/proc/self/fd");
}

}  // namespace

std::optional<FileRange> find_section(std::span<const std::byte> start, std::string_view name) {
  const auto magic = load<std::array<char, 2>>(start, 0);
  const auto at = load<ul32>(start, kAtCoff);
  const auto coff = at ? load<CoffHeader>(start, *at) : std::nullopt;
  if (!magic || *magic != std::array{'M', 'Z'} || !coff ||
      std::memcmp(coff->signature, "PE\0", sizeof coff->signature) != 0) {
    return std::nullopt;
  }
  const std::uint64_t first = std::uint64_t{*at} + sizeof *coff + coff->optional_size;
  for (std::uint64_t i = 0; i < coff->sections; ++i) {
    const auto section = load<SectionHeader>(start, first + i * sizeof(SectionHeader));
    if (!section) {
      break;
    }
    // A name of 8 characters has no NUL behind it.
    if (std::string_view(section->name, ::strnlen(section->name, sizeof section->name)) == name) {
      return FileRange{section->file_offset,
                       std::min<std::uint64_t>(section->size, section->file_size)};
    }
  }
  return std::nullopt;
}

std::optional<FileRange> find_linux(std::span<const std::byte> start) {
  return find_section(start, ".linux");
}

Result<std::string> read_command_line(const root::Root& root, std::string_view path) {
  constexpr std::uint64_t kMost = 64U << 10;
  TRY_ASSIGN(const Fd file, root.open(path, O_RDONLY));
  std::vector<std::byte> start(kKernelHeader);
  TRY_ASSIGN(const std::size_t got, sys::pread_full(file.get(), start, 0));
  const auto range = find_section(std::span(start).first(got), ".cmdline");
  std::string text(range ? std::min(range->size, kMost) : 0, '\0');
  if (range) {
    TRY_ASSIGN(const std::size_t length,
               sys::pread_full(file.get(), std::as_writable_bytes(std::span(text)), range->offset));
    text.resize(std::min(length, text.find('\0')));
  }
  return text;
}

Result<Fd> open_kernel(const std::string& path) {
  Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) {
    return fail_errno(errno, path);
  }
  std::vector<std::byte> start(kKernelHeader);
  TRY_ASSIGN(const std::size_t got, sys::pread_full(file.get(), start, 0));
  const auto range = find_linux(std::span(start).first(got));
  if (!range) {
    return file;
  }
  if (range->size > kMostKernel) {
    return fail(Errc::limit, "{}: the kernel is larger than {} MiB", path, kMostKernel >> 20);
  }
  auto kernel = copy_of(file.get(), *range);
  return kernel ? std::move(kernel) : in_context(std::move(kernel).error(), path);
}

}  // namespace vmcore::guest::kexec
