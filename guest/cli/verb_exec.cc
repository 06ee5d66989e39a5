// SPDX-License-Identifier: GPL-2.0-or-later
#include <sys/reboot.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "guest/cli/report.h"
#include "guest/cli/verb.h"
#include "guest/kexec/kernel_facts.h"
#include "guest/root/run_command.h"

namespace vmcore::guest::cli {
namespace {

// With systemd (sd_booted(3)), services are stopped and file systems unmounted first.
constexpr std::string_view kSystemd = "/run/systemd/system";

Result<> execute(bool now) {
  TRY_ASSIGN(const root::Root root, root::Root::open("/"));
  if (!kexec::is_loaded(root, kexec::Slot::reboot)) {
    return fail(Errc::guest_state,
                "no kernel is loaded for a reboot: run vmcore-guest load --reboot");
  }
  if (root.exists(kSystemd) && !now) {
    return root::run_command({"/usr/bin/systemctl", "kexec"});
  }
  ::sync();
  ::reboot(RB_KEXEC);
  return fail_errno(errno, "reboot");
}

}  // namespace

Run add_exec(CLI::App& command, const Common& common) {
  const auto now = std::make_shared<bool>(false);
  command.add_flag(
      "--now", *now,
      "Sync, and start the kernel without stopping services (the default without systemd)");
  return [now, &common] { return report(execute(*now), common); };
}

}  // namespace vmcore::guest::cli
