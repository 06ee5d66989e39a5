#include "guest/setup/kexec.h"

#include <fcntl.h>
#include <linux/kexec.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "guest/setup/run_command.h"
#include "src/base/fd.h"

// Linux 6.8, include/uapi/linux/kexec.h: newer than some headers that this is built with.
#ifndef KEXEC_FILE_DEBUG
#define KEXEC_FILE_DEBUG 0x00000008
#endif

namespace vmcore::guest {
namespace {

constexpr const char* kKexecProgram = "/sbin/kexec";

unsigned long flags_of(Slot slot) { return slot == Slot::crash ? KEXEC_FILE_ON_CRASH : 0UL; }

// Gives errno, 0 where it was loaded.
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

// By kexec_load(2), whose segments and purgatory kexec-tools makes.
Result<> load_by_program(Slot slot, const KexecImage& image) {
  if (::access(kKexecProgram, X_OK) != 0) {
    return fail(Errc::unsupported,
                "this kernel has no kexec_file_load (CONFIG_KEXEC_FILE), and {} is not there: "
                "install kexec-tools",
                kKexecProgram);
  }
  std::vector<std::string> words = {kKexecProgram, "-c", slot == Slot::crash ? "-p" : "-l",
                                    image.kernel, "--command-line=" + image.command_line};
  if (!image.initrd.empty()) {
    words.push_back("--initrd=" + image.initrd);
  }
  return run_command(words);
}

}  // namespace

Result<> load_kernel(Slot slot, const KexecImage& image) {
  TRY_ASSIGN(const Fd kernel, open_file(image.kernel));
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
    return load_by_program(slot, image);
  }
  if (error != 0) {
    return fail(code_of(error), "{}: {}", image.kernel, explain_load_error(slot, error));
  }
  return {};
}

Result<> unload_kernel(Slot slot) {
  const int error = kexec_file_load(-1, -1, "", flags_of(slot) | KEXEC_FILE_UNLOAD);
  if (error == ENOSYS) {
    // No segments: the slot is emptied.
    const unsigned long flags = slot == Slot::crash ? KEXEC_ON_CRASH : 0UL;
    if (::syscall(SYS_kexec_load, 0UL, 0UL, nullptr, flags) == 0) {
      return {};
    }
    return fail(code_of(errno), "{}", explain_load_error(slot, errno));
  }
  if (error != 0) {
    return fail(code_of(error), "{}", explain_load_error(slot, error));
  }
  return {};
}

std::string explain_load_error(Slot slot, int error) {
  const std::string said = std::strerror(error);
  switch (error) {
    case EADDRNOTAVAIL:
      return slot == Slot::crash
                 ? "it does not fit into the memory that is reserved: see vmcore-guest estimate, "
                   "then boot with a larger crashkernel="
                 : "no free memory is large enough for it";
    case EBUSY:
      return "another kexec is under way, or the kernel is going down: try again";
    case ENOEXEC:
      return "the kernel does not take it for a kernel image (a bzImage of this architecture, "
             "x86-64 with XLF_KERNEL_64)";
    case EPERM:
      return "not permitted: it takes root (CAP_SYS_BOOT), and a kernel that still allows it: see "
             "/proc/sys/kernel/kexec_load_disabled, kexec_load_limit_panic, "
             "kexec_load_limit_reboot and /sys/kernel/security/lockdown. What was locked stays so "
             "until the next boot";
    case EKEYREJECTED:
    case ENOKEY:
    case ENODATA:
      return fmt::format(
          "the kernel wants an image that is signed with a key that it trusts ({}): use the "
          "distribution's own, or enrol the key (mokutil --import)",
          said);
    case ENOMEM:
      return "the kernel is out of memory for it";
    case EINVAL:
      return slot == Slot::crash
                 ? "the kernel refuses it: is memory reserved (crashkernel=), and the command line "
                   "not longer than it takes (2048)?"
                 : "the kernel refuses it: is the command line longer than it takes (2048)?";
    default:
      return said;
  }
}

}  // namespace vmcore::guest
