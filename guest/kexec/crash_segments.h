// SPDX-License-Identifier: GPL-2.0-or-later
// The capture kernel as kexec_load(2) takes it: each part as it shall lie in memory. For kernels
// without kexec_file_load(2) (CONFIG_KEXEC_FILE), such as Alpine's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "guest/kexec/kernel_facts.h"
#include "src/base/result.h"

namespace vmcore::guest::kexec {

struct Segment {
  std::uint64_t address;  // physical; page-aligned, as is the size
  std::uint64_t size;     // bytes of memory; those behind the data are zeros
  std::vector<std::byte> data;
};

struct CrashSegments {
  std::uint64_t entry;  // where the crashed kernel jumps to
  std::vector<Segment> segments;
};

// All numbers are those of the running kernel.
struct CrashInput {
  std::vector<std::byte> kernel;  // a whole bzImage
  std::vector<std::byte> initrd;
  std::string command_line;  // without elfcorehdr=, which is added
  std::vector<Resource> memory;
  std::vector<MemoryRange> notes;      // VMCOREINFO, and the registers of each CPU
  std::uint64_t rsdp = 0;              // of ACPI; 0: the kernel searches, as under a BIOS
  std::vector<std::byte> screen = {};  // struct screen_info; may be empty
};

// Reads what does not depend on the kernel to load.
Result<CrashInput> read_crash_input(const root::Root& root);

// Pure. Errc::no_space if the parts do not fit into the reserved memory, Errc::unsupported if the
// kernel cannot be entered in 64-bit mode anywhere in memory (XLF_CAN_BE_LOADED_ABOVE_4G, Linux
// 3.8).
Result<CrashSegments> make_crash_segments(const CrashInput& input);

}  // namespace vmcore::guest::kexec
