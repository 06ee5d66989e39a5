// SPDX-License-Identifier: GPL-2.0-or-later
// The ELF core header that a kernel makes for its capture kernel ("elfcorehdr"): what /proc/vmcore
// is made of. It lies in the memory that is reserved for the capture kernel, and names the crashed
// kernel's RAM and the notes in it that the crashed kernel fills in while it dies.
//
// kexec_file_load puts it at the beginning of that memory (arch/x86/kernel/crash.c,
// crash_load_segments; v3.17, dd5f726076cc), kexec-tools at its end.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "src/base/result.h"
#include "src/image/memory.h"
#include "src/kernel/guest_kernel.h"

namespace vmcore::kernel {

// RAM of the crashed kernel, whole pages. Its bytes lie at `from`: elsewhere where they were saved
// because the capture kernel uses the first 640 KiB (until v5.6, 7c321eb2b843; kexec-tools).
struct CoreLoad {
  PhysRange range;
  PhysAddr from;
  bool operator==(const CoreLoad&) const = default;
};

struct CoreHeader {
  PhysAddr place;
  std::vector<PhysRange> notes;  // one for each CPU that there may be, and one of VMCOREINFO
  std::vector<CoreLoad> loads;   // sorted, disjoint
};

// The header at `place`. Errc::not_recognised where none is, Errc::malformed where it is not what
// Linux or kexec-tools make: such as one that counts itself among the crashed kernel's memory.
Result<CoreHeader> read_elfcorehdr(const PhysicalMemory& memory, PhysAddr place);

// The headers that begin a page of `range`. At most kMaxCoreHeaders, lowest first.
inline constexpr std::size_t kMaxCoreHeaders = 16;
Result<std::vector<CoreHeader>> search_elfcorehdr(const PhysicalMemory& memory, PhysRange range);

// The place of the previous kernel's header by the command line of a kernel: only a capture kernel
// has it there. Nothing for kernels whose symbols are not known.
std::optional<PhysAddr> elfcorehdr_from_cmdline(const GuestKernel& kernel);

}  // namespace vmcore::kernel
