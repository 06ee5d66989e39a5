// SPDX-License-Identifier: GPL-2.0-or-later
// DebugFile: what one file is to somebody who looks for the debug information of a kernel.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "src/base/result.h"

namespace vmcore::debuginfo {

enum class FileKind : std::uint8_t {
  vmlinux,     // an ELF file that can be a kernel, or its separate debug information
  module,      // of a kernel
  compressed,  // vmlinuz: what a boot loader starts
  packed,      // gzip, xz, zstd ...: something is in it
  dump,        // a core file
  other,
};

// Texts are of the file, which may say anything.
struct DebugFile {
  FileKind kind = FileKind::other;
  std::string build_id = {};  // hex; empty where it has none
  std::string banner = {};    // of a vmlinux: its linux_banner, "Linux version ..."
  // Of a vmlinux by its banner, of a module by its vermagic, of a vmlinuz by its header.
  std::string release = {};
  bool has_debug_info = false;  // DWARF
  std::string debug_link = {};  // the file that its .gnu_debuglink names
  std::string alternate = {};   // the path of its .gnu_debugaltlink (dwz)
  std::string alternate_build_id = {};
  bool operator==(const DebugFile&) const = default;
};

// Reads the headers, notes and symbols of the open file. It believes no file, but libelf parses
// what anybody may have made: call it in a confined process (confined.h). A file that is no ELF
// file is no Error.
Result<DebugFile> inspect(int fd);

// "6.1.0-57-amd64" of "Linux version 6.1.0-57-amd64 (...) ..."; empty if that is no banner.
std::string release_of_banner(std::string_view banner);

}  // namespace vmcore::debuginfo
