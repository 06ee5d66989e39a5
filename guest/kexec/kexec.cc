// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/kexec/kexec.h"

#include <fcntl.h>
#include <linux/kexec.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "guest/kexec/crash_segments.h"
#include "guest/kexec/kernel_facts.h"
#include "guest/kexec/unified_image.h"
#include "guest/root/read_word.h"
#include "guest/root/run_command.h"
#include "src/base/fd.h"
#include "src/base/sys.h"

// Linux 6.8, include/uapi/linux/kexec.h. Some headers that this builds with are older.
#ifndef KEXEC_FILE_DEBUG
#define KEXEC_FILE_DEBUG 0x00000008
#endif

namespace vmcore::guest::kexec {
namespace {

constexpr const char* kKexecProgram = "/sbin/kexec";

unsigned long flags_of(Slot slot) { return slot == Slot::crash ? KEXEC_FILE_ON_CRASH : 0UL; }

// Returns 0 or the errno.
int kexec_file_load(int kernel, int initrd, const std::string& command_line, unsigned long flags) {
  return ::syscall(SYS_kexec_file_load, kernel, initrd, command_line.size() + 1,
                   command_line.c_str(), flags) == 0
             ? 0
             : errno;
}

Result<Fd> open_file(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) {
    return fail_errno(errno, path);
  }
  return fd;
}

Errc code_of(int error) {
  switch (error) {
    case EPERM:
    case EACCES:
    case EKEYREJECTED:
    case ENOKEY:
    case ENODATA:
      return Errc::denied;
    case EBUSY:
      return Errc::busy;
    case EADDRNOTAVAIL:
    case ENOMEM:
      return Errc::no_space;
    case ENOEXEC:
      return Errc::not_recognised;
    default:
      return Errc::io;
  }
}

std::string explain_denied(const LoadLocks& locks) {
  if (!locks.root) {
    return "not permitted: run it as root (CAP_SYS_BOOT)";
  }
  if (locks.disabled) {
    return "not permitted: kernel.kexec_load_disabled is 1 until the next boot; if the "
           "distribution sets it (Alpine), boot with kexec_load_disabled=0";
  }
  if (locks.limit == 0) {
    return "not permitted: no more loads are allowed until the next boot (vmcore-guest lock, "
           "kernel.kexec_load_limit_panic or _reboot)";
  }
  if (!locks.lockdown.empty() && locks.lockdown != "none") {
    return fmt::format(
        "not permitted: the kernel is locked down ({}) and loads only an image signed with a key "
        "that it trusts: use the distribution's signed kernel, or enrol the signing key (mokutil "
        "--import)",
        locks.lockdown);
  }
  return "not permitted although it runs as root: a container or a security module forbids it";
}

Error load_error(Slot slot, int error) {
  const auto root = root::Root::open("/");
  const LoadLocks locks = root ? read_load_locks(*root, slot) : LoadLocks();
  return {code_of(error), explain_load_error(slot, error, locks)};
}

Result<std::vector<std::byte>> bytes_of(int file) {
  TRY_ASSIGN(const std::uint64_t size, sys::file_size(file));
  std::vector<std::byte> bytes(size);
  TRY_ASSIGN(const std::size_t got, sys::pread_full(file, bytes, 0));
  bytes.resize(got);
  return bytes;
}

// Returns 0 or the errno.
int kexec_load(const CrashSegments& load) {
  std::vector<kexec_segment> segments;
  for (const Segment& segment : load.segments) {
    segments.push_back({.buf = segment.data.data(),
                        .bufsz = segment.data.size(),
                        // NOLINTNEXTLINE: an address of physical memory
                        .mem = reinterpret_cast<const void*>(segment.address),
                        .memsz = segment.size});
  }
  return ::syscall(SYS_kexec_load, load.entry, segments.size(), segments.data(),
                   static_cast<unsigned long>(KEXEC_ON_CRASH)) == 0
             ? 0
             : errno;
}

// Loads the capture kernel with kexec_load(2), from parts of our own: kexec-tools needs
// /proc/kcore, which kernels without kexec_file_load often lack, too.
Result<> load_by_segments(const KexecImage& image, int kernel, int initrd) {
  TRY_ASSIGN(const root::Root root, root::Root::open("/"));
  TRY_ASSIGN(CrashInput input, read_crash_input(root));
  input.command_line = image.command_line;
  TRY_ASSIGN(input.kernel, bytes_of(kernel));
  if (initrd >= 0) {
    TRY_ASSIGN(input.initrd, bytes_of(initrd));
  }
  TRY_ASSIGN(const CrashSegments load, make_crash_segments(input));
  const int error = kexec_load(load);
  return error == 0 ? Result<>() : tl::unexpected(load_error(Slot::crash, error));
}

// Loads with kexec_load(2), for which kexec-tools makes the segments and the purgatory.
Result<> load_by_program(const KexecImage& image, int kernel) {
  if (::access(kKexecProgram, X_OK) != 0) {
    return fail(Errc::unsupported,
                "this kernel has no kexec_file_load (CONFIG_KEXEC_FILE), and {} does not exist: "
                "install kexec-tools",
                kKexecProgram);
  }
  std::vector<std::string> words = {kKexecProgram, "-c", "-l",
                                    fmt::format("/proc/{}/fd/{}", ::getpid(), kernel),
                                    "--command-line=" + image.command_line};
  if (!image.initrd.empty()) {
    words.push_back("--initrd=" + image.initrd);
  }
  return root::run_command(words);
}

}  // namespace

Result<> load_kernel(Slot slot, const KexecImage& image) {
  TRY_ASSIGN(const Fd kernel, open_kernel(image.kernel));
  Fd initrd;
  unsigned long flags = flags_of(slot);
  if (image.initrd.empty()) {
    flags |= KEXEC_FILE_NO_INITRAMFS;
  } else {
    TRY_ASSIGN(initrd, open_file(image.initrd));
  }
  const unsigned long debug = image.debug ? KEXEC_FILE_DEBUG : 0UL;
  int error = kexec_file_load(kernel.get(), initrd.get(), image.command_line, flags | debug);
  if (error == EINVAL && debug != 0) {
    error = kexec_file_load(kernel.get(), initrd.get(), image.command_line, flags);
  }
  if (error == ENOSYS) {
    return slot == Slot::crash ? load_by_segments(image, kernel.get(), initrd.get())
                               : load_by_program(image, kernel.get());
  }
  return error == 0 ? Result<>() : in_context(load_error(slot, error), image.kernel);
}

Result<> unload_kernel(Slot slot) {
  int error = kexec_file_load(-1, -1, "", flags_of(slot) | KEXEC_FILE_UNLOAD);
  if (error == ENOSYS) {
    // A load without segments empties the slot.
    const unsigned long flags = slot == Slot::crash ? KEXEC_ON_CRASH : 0UL;
    error = ::syscall(SYS_kexec_load, 0UL, 0UL, nullptr, flags) == 0 ? 0 : errno;
  }
  return error == 0 ? Result<>() : tl::unexpected(load_error(slot, error));
}

LoadLocks read_load_locks(const root::Root& root, Slot slot) {
  LoadLocks locks{.root = ::geteuid() == 0};
  locks.disabled = read_number(root, {"/proc/sys/kernel/kexec_load_disabled"}).value_or(0) != 0;
  const auto limit =
      root::read_word(root, {slot == Slot::crash ? "/proc/sys/kernel/kexec_load_limit_panic"
                                                 : "/proc/sys/kernel/kexec_load_limit_reboot"});
  if (limit) {
    locks.limit = std::strtoll(limit->c_str(), nullptr, 10);
  }
  // "none [integrity] confidentiality"
  if (const auto lockdown = root::read_word(root, {"/sys/kernel/security/lockdown"})) {
    const std::size_t open = lockdown->find('[');
    const std::size_t close = lockdown->find(']');
    if (open < close && close != std::string::npos) {
      locks.lockdown = lockdown->substr(open + 1, close - open - 1);
    }
  }
  return locks;
}

std::string explain_load_error(Slot slot, int error, const LoadLocks& locks) {
  const std::string said = std::strerror(error);
  switch (error) {
    case EADDRNOTAVAIL:
      return slot == Slot::crash ? "the reserved memory is too small: run vmcore-guest estimate, "
                                   "and boot with a larger crashkernel="
                                 : "no free range of memory is large enough";
    case EBUSY:
      return "another kexec is in progress, or the kernel is shutting down: try again";
    case ENOEXEC:
      return "the kernel does not recognise the image: use a bzImage for x86-64 (XLF_KERNEL_64)";
    case EPERM:
      return explain_denied(locks);
    case EACCES:
      return "a security policy forbids the load: IMA appraisal (ima_policy= or ima_appraise= on "
             "the command line, /etc/ima/ima-policy), which requires files signed with evmctl, or "
             "SELinux";
    case EKEYREJECTED:
    case ENOKEY:
    case ENODATA:
      return fmt::format(
          "the kernel requires an image signed with a key that it trusts ({}): use the "
          "distribution's signed kernel, or enrol the signing key (mokutil --import)",
          said);
    case ENOMEM:
      return "the kernel has not enough free memory";
    case EINVAL:
      return slot == Slot::crash
                 ? "the kernel rejects the load: reserve memory (crashkernel=), and keep the "
                   "command line within 2048 bytes"
                 : "the kernel rejects the load: keep the command line within 2048 bytes";
    default:
      return said;
  }
}

}  // namespace vmcore::guest::kexec
