// SPDX-License-Identifier: GPL-2.0-or-later
// Checks whose process is claimed to run a guest, and whether its memory may be read for the user
// who claims it.
//
// A program that reads memory with more privilege must not lend that privilege to others: anybody
// may own a monitor's socket, and its owner may name any process. So root, or a vmcorectl with
// CAP_SYS_PTRACE, reads for a user only what that user could read (Linux kernel/ptrace.c,
// __ptrace_may_access, v6.12): a process with that user's ids and no others, which gained nothing
// from its program (set-uid, set-gid, file capabilities, unreadable executable). If root made the
// claim, only the program is checked: QEMU may have changed its user since (-run-with user=), and a
// server of its socket is not a QEMU.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/result.h"

namespace vmcore::acquire {

// The user who claims that a process runs a guest: the listener of its monitor's socket, or the
// owner of libvirt's pid file.
struct Voucher {
  uid_t uid = 0;
  gid_t gid = 0;
};

struct ProcessIdentity {
  std::array<uid_t, 4> uids{};  // real, effective, saved, of file systems
  std::array<gid_t, 4> gids{};
  std::uint64_t capabilities = 0;  // permitted; none where those are of another user namespace
  uid_t owner = 0;                 // of its files in /proc: root where it is guarded (not dumpable)
  std::vector<std::string> programs = {};  // that it has mapped to be run, without folders
};

// Errc::not_found where it is gone.
Result<ProcessIdentity> identity_of(pid_t pid);

// Errc::denied, with the reason, if the process may not be read for that user; Errc::unsupported if
// it is not a QEMU.
Result<> check_identity(const ProcessIdentity& process, Voucher voucher);

// A QEMU, by the names that distributions give it: qemu-system-x86_64, qemu-kvm, kvm.
bool is_qemu(std::string_view program);

}  // namespace vmcore::acquire
