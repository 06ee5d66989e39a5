// Unified kernel images: EFI programs (PE) that have a kernel in their section .linux, beside an
// initrd and a command line (UAPI Group, "Unified Kernel Image"; systemd-stub(7)).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "src/base/fd.h"
#include "src/base/result.h"

namespace vmcore::guest::kexec {

// In bytes of the file, which may end before it.
struct FileRange {
  std::uint64_t offset;
  std::uint64_t size;
  bool operator==(const FileRange&) const = default;
};

// Where the kernel lies, by the headers at the beginning of the file; nothing where it is another
// file, or its headers reach beyond `start`.
std::optional<FileRange> find_linux(std::span<const std::byte> start);

// A kernel as kexec_file_load(2) takes it: that file, or what a unified image has, in memory.
Result<Fd> open_kernel(const std::string& path);

}  // namespace vmcore::guest::kexec
