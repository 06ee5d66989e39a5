// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/setup.h"

#include "src/acquire/libvirt/setup.h"
#include "src/acquire/qmp/setup.h"
#include "src/image/arch.h"

namespace vmcore::acquire {

Result<GuestSetup> setup_of(const Selection& selection) {
  return selection.domain.empty() ? setup_of_monitor(selection) : setup_of_domain(selection);
}

Result<> check_encryption(const std::string& encryption) {
  if (encryption.empty()) {
    return {};
  }
  return fail(Errc::unsupported,
              "the guest's memory is encrypted ({}), and the host cannot read it: use kdump in the "
              "guest (vmcore-guest setup)",
              encryption);
}

// As libvirt and QEMU call them.
Result<> check_kind(const std::string& arch, CpuMode mode) {
  constexpr ArchNames kHost = names_of(kHostArch);
  if (!arch.empty() && arch != kHost.name && arch != kHost.qemu_narrow &&
      arch != kHost.libvirt_narrow) {
    return fail(Errc::guest_state,
                "the guest has architecture {}, and only x86-64 is supported: use virsh dump "
                "--memory-only or QEMU's dump-guest-memory",
                arch);
  }
  if (mode == CpuMode::paging_32) {
    return fail(
        Errc::guest_state,
        "the guest runs a 32-bit kernel (its CPUs use page tables without long mode), and only "
        "64-bit kernels are supported: use virsh dump --memory-only or QEMU's dump-guest-memory");
  }
  return {};
}

}  // namespace vmcore::acquire
