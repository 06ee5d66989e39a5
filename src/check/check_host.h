// SPDX-License-Identifier: GPL-2.0-or-later
// What dumps need of the host, whatever the guest.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "src/base/result.h"
#include "src/report/check.h"

namespace vmcore::check {

// What the kernel lets this user do with other processes.
struct TraceRights {
  // kernel.yama.ptrace_scope (Linux Documentation/admin-guide/LSM/Yama.rst); nothing without Yama.
  std::optional<int> scope = {};
  bool capable = false;  // of CAP_SYS_PTRACE
};

struct HostFacts {
  TraceRights trace = {};
  // vm.unprivileged_userfaultfd, which came with Linux 5.2 (cefdca0a86be): before, all may.
  bool userfaultfd_for_all = true;
  bool userfaultfd_device =
      false;             // /dev/userfaultfd, Linux 6.1 (2d5de004e009), QEMU 8.0 (c40c0463413b)
  Result<> worker = {};  // whether vmcore-worker and vmcore-holder are there
  // What a worker could not give up; the Error of one that refused to work.
  Result<std::vector<Remark>> confinement = {};
  Result<std::uint64_t> libvirt = 0;  // the version of what answers: acquire/libvirt/setup.h
};

// `root` is where /proc, /sys and /dev are looked for.
TraceRights read_trace_rights(const std::filesystem::path& root = "/");

// Whether QEMU, or libvirt itself, lets a guest run again after the pause of a dump.
Finding judge_holder(std::uint64_t libvirt_version);

// "kernel.yama.ptrace_scope is 1, without CAP_SYS_PTRACE"
std::string describe(const TraceRights& rights);

report::CheckReport judge_host(const HostFacts& facts);

// An empty URI is libvirt's own default.
report::CheckReport check_host(const std::string& libvirt_uri);

}  // namespace vmcore::check
