// SPDX-License-Identifier: GPL-2.0-or-later
// Unified kernel images: EFI programs (PE) with a kernel in the section .linux, an initrd and a
// command line (UAPI Group, "Unified Kernel Image"; systemd-stub(7)).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "guest/root/root.h"
#include "src/base/fd.h"
#include "src/base/result.h"

namespace vmcore::guest::kexec {

// Bytes of a file. The file may end inside the range.
struct FileRange {
  std::uint64_t offset;
  std::uint64_t size;
  bool operator==(const FileRange&) const = default;
};

// Finds a section by the headers at the start of the file; nothing if it is another file, or if its
// headers reach beyond `start`. The kernel is in ".linux".
std::optional<FileRange> find_section(std::span<const std::byte> start, std::string_view name);
std::optional<FileRange> find_linux(std::span<const std::byte> start);

// The text of the section .cmdline of an image or an addon; empty if it has none.
Result<std::string> read_command_line(const root::Root& root, std::string_view path);

// Opens a kernel for kexec_file_load(2): the file itself, or a copy in memory of the kernel inside
// a unified image.
Result<Fd> open_kernel(const std::string& path);

}  // namespace vmcore::guest::kexec
