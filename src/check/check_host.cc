// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/check/check_host.h"

#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <string>

#include "src/acquire/libvirt/setup.h"
#include "src/base/number.h"
#include "src/base/own_program.h"
#include "src/job/run_worker.h"

namespace vmcore::check {
namespace {

namespace fs = std::filesystem;

std::optional<int> number_in(const fs::path& path) {
  std::ifstream file(path);
  int number = 0;
  return file >> number ? std::optional(number) : std::nullopt;
}

// proc(5): "CapEff:\t000001ffffffffff"; CAP_SYS_PTRACE is number 19 (linux/capability.h).
bool can_trace(const fs::path& status) {
  constexpr std::string_view kName = "CapEff:\t";
  std::ifstream file(status);
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(kName)) {
      std::string_view digits = std::string_view(line).substr(kName.size());
      return (take_number<std::uint64_t>(digits, 16).value_or(0) >> 19 & 1) != 0;
    }
  }
  return false;
}

Finding judge_trace(const TraceRights& rights) {
  Finding finding{.id = "host.ptrace",
                  .title = "for the right to read memory of other processes",
                  .value = describe(rights)};
  const int scope = rights.scope.value_or(0);
  if (scope >= 3) {
    finding.verdict = Verdict::warn;
    finding.hint =
        "no process may until the host reboots: guests are dumped slowly, through QEMU or libvirt";
  } else if (!rights.capable) {
    finding.verdict = Verdict::warn;
    finding.hint = fmt::format(
        "{}; other guests are dumped slowly, through QEMU or libvirt: run vmcorectl as root",
        scope == 0 ? "only guests of this user are read directly" : "no guest is read directly");
  }
  return finding;
}

Finding judge_userfaultfd(const HostFacts& facts) {
  Finding finding{.id = "host.userfaultfd", .title = "for userfaultfd, for snapshots"};
  if (facts.userfaultfd_for_all) {
    finding.value = "vm.unprivileged_userfaultfd is 1";
    return finding;
  }
  finding.verdict = Verdict::warn;
  finding.value = "vm.unprivileged_userfaultfd is 0";
  finding.hint = facts.userfaultfd_device
                     ? "only a QEMU that runs as root, or a QEMU 8.0 or later whose user may open "
                       "/dev/userfaultfd, can take snapshots"
                     : "only a QEMU that runs as root can take snapshots";
  return finding;
}

Finding judge_libvirt(const Result<std::uint64_t>& version) {
  Finding finding{.id = "host.libvirt", .title = "for libvirt"};
  if (!version) {
    const bool elsewhere = version.error().code == Errc::unsupported;
    finding.verdict = elsewhere ? Verdict::fail : Verdict::warn;
    finding.hint = version.error().message;
    return finding;
  }
  const Finding holder = judge_holder(*version);
  finding.value = acquire::version_text(*version);
  finding.verdict = holder.verdict;
  finding.hint = holder.hint;
  return finding;
}

Finding judge_worker(const Result<>& found) {
  Finding finding{.id = "host.worker", .title = "for the programs vmcore-worker and vmcore-holder"};
  if (!found) {
    finding.verdict = Verdict::fail;
    finding.hint = found.error().message;
  }
  return finding;
}

Finding judge_confinement(const Result<std::vector<Remark>>& missing) {
  Finding finding{.id = "host.confinement", .title = "for the confinement of vmcore-worker"};
  if (!missing) {
    finding.verdict = Verdict::fail;
    finding.hint = missing.error().message;
    return finding;
  }
  for (const Remark& remark : *missing) {
    finding.verdict = Verdict::warn;
    finding.hint += (finding.hint.empty() ? "" : "; ") + remark.text;
  }
  return finding;
}

Result<std::vector<Remark>> try_confinement() {
  TRY_ASSIGN(sandbox::Done done,
             job::run_worker({.operation = sandbox::Operation::nothing}, {}, {}));
  return std::move(done.summary.remarks);
}

Result<> find_program(const std::string& name) {
  TRY_ASSIGN(const fs::path path, find_own_program(name, "libexec/vmcorectl/" + name));
  if (::access(path.c_str(), X_OK) != 0) {
    return fail_errno(errno, path.string());
  }
  return {};
}

Result<> find_programs() {
  TRY(find_program("vmcore-worker"));
  return find_program("vmcore-holder");
}

}  // namespace

TraceRights read_trace_rights(const fs::path& root) {
  return {.scope = number_in(root / "proc/sys/kernel/yama/ptrace_scope"),
          .capable = can_trace(root / "proc/self/status")};
}

std::string describe(const TraceRights& rights) {
  return fmt::format("{}, {} CAP_SYS_PTRACE",
                     rights.scope ? fmt::format("kernel.yama.ptrace_scope is {}", *rights.scope)
                                  : "no kernel.yama.ptrace_scope",
                     rights.capable ? "with" : "without");
}

Finding judge_holder(std::uint64_t libvirt_version) {
  Finding finding{
      .id = "holder", .title = "for the program that ends the pause of a dump", .value = "QEMU"};
  if (acquire::holds_guests_itself(libvirt_version)) {
    finding.verdict = Verdict::warn;
    finding.value = "libvirt " + acquire::version_text(libvirt_version);
    finding.hint =
        "libvirt 11.5 and later pause a running guest themselves for a dump: if libvirt is killed "
        "in the pause, the guest stays paused until libvirt is started again (systemd does that, "
        "and vmcorectl tries to)";
  }
  return finding;
}

report::CheckReport judge_host(const HostFacts& facts) {
  return {{},
          {judge_worker(facts.worker), judge_confinement(facts.confinement),
           judge_libvirt(facts.libvirt), judge_trace(facts.trace), judge_userfaultfd(facts)}};
}

report::CheckReport check_host(const std::string& libvirt_uri) {
  HostFacts facts{.trace = read_trace_rights()};
  facts.userfaultfd_for_all = number_in("/proc/sys/vm/unprivileged_userfaultfd").value_or(1) != 0;
  facts.userfaultfd_device = ::access("/dev/userfaultfd", F_OK) == 0;
  facts.worker = find_programs();
  facts.confinement = try_confinement();
  facts.libvirt = acquire::libvirt_version(libvirt_uri);
  return judge_host(facts);
}

}  // namespace vmcore::check
