// SPDX-License-Identifier: GPL-2.0-or-later
// The two slots for kernels in memory: the capture kernel, which runs after a crash, and the kernel
// that a fast reboot starts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "guest/root/root.h"
#include "src/base/result.h"

namespace vmcore::guest::kexec {

enum class Slot : std::uint8_t { crash, reboot };

struct KexecImage {
  std::string kernel;  // path
  std::string initrd;  // path; may be empty
  std::string command_line;
  bool debug = false;  // the kernel logs what it loads and where (Linux 6.8)
};

// Loads a kernel into the slot with kexec_file_load(2), and replaces what was there. Kernels
// without that call (CONFIG_KEXEC_FILE) get a capture kernel by kexec_load(2) (crash_segments.h),
// and a kernel for a reboot from the program kexec of kexec-tools.
Result<> load_kernel(Slot slot, const KexecImage& image);
// Empties the slot, whichever program filled it.
Result<> unload_kernel(Slot slot);

// Reasons for which the kernel may refuse to load another.
struct LoadLocks {
  bool root = true;                        // the user is root, and so usually has CAP_SYS_BOOT
  bool disabled = false;                   // kernel.kexec_load_disabled
  std::optional<std::int64_t> limit = {};  // kernel.kexec_load_limit_panic or _reboot; -1: none
  std::string lockdown = {};               // "none", "integrity", "confidentiality", or empty
};
LoadLocks read_load_locks(const root::Root& root, Slot slot);

// Why a load failed with the errno `error`, and what to do. Pure.
std::string explain_load_error(Slot slot, int error, const LoadLocks& locks);

}  // namespace vmcore::guest::kexec
