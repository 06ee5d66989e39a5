// The two slots for kernels that wait in memory: the capture kernel, which runs when this one
// crashes, and the one that a fast reboot starts.
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
  bool debug = false;  // the kernel logs what goes where (Linux 6.8)
};

// kexec_file_load(2) into the slot, in place of what was there. Kernels without that call
// (CONFIG_KEXEC_FILE) are loaded by the kexec program of kexec-tools, where it is installed.
Result<> load_kernel(Slot slot, const KexecImage& image);
// Empties the slot, whoever filled it.
Result<> unload_kernel(Slot slot);

// What may keep this kernel from loading another.
struct LoadLocks {
  bool root = true;                        // CAP_SYS_BOOT, as far as the user tells
  bool disabled = false;                   // kernel.kexec_load_disabled
  std::optional<std::int64_t> limit = {};  // kernel.kexec_load_limit_panic or _reboot; -1: none
  std::string lockdown = {};               // "none", "integrity", "confidentiality", or empty
};
LoadLocks read_load_locks(const root::Root& root, Slot slot);

// What a load failed from, and what to do about it: `error` is the errno. Pure.
std::string explain_load_error(Slot slot, int error, const LoadLocks& locks);

}  // namespace vmcore::guest::kexec
