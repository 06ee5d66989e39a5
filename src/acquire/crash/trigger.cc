// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/crash/trigger.h"

#include <libvirt/libvirt-qemu.h>
#include <linux/input-event-codes.h>
#include <stdlib.h>

#include <array>
#include <memory>

#include "qmp/client.h"
#include "src/acquire/libvirt/connection.h"
#include "src/acquire/qmp/monitor.h"

namespace vmcore::acquire {
namespace {

using qmp::Json;

// The agent answers before the guest is gone.
constexpr const char* kAgentCommand =
    R"({"execute":"guest-exec","arguments":{"path":"/bin/sh","arg":["-c","sync; sleep 1; echo c > /proc/sysrq-trigger"]}})";
constexpr int kAgentSeconds = 10;

Result<> press_keys(qmp::Client& monitor) {
  Json keys = Json::array();
  for (const char* const key : {"alt", "sysrq", "c"}) {
    keys.push_back({{"type", "qcode"}, {"data", key}});
  }
  TRY(monitor.execute("send-key", {{"keys", std::move(keys)}}));
  return {};
}

Result<> crash_by_monitor(const Selection& selection, CrashBy by) {
  TRY_ASSIGN(const auto monitor, open_monitor(selection, {}));
  switch (by) {
    case CrashBy::nmi:
      TRY(monitor->execute("inject-nmi"));
      return {};
    case CrashBy::sysrq:
      return press_keys(*monitor);
    case CrashBy::agent:
      return fail(Errc::unsupported,
                  "the guest agent cannot be reached through QEMU's monitor: use nmi or sysrq");
  }
  return {};
}

Result<> press_keys(virDomain* domain) {
  constexpr unsigned kHold = 100;  // milliseconds
  std::array<unsigned, 3> keys{KEY_LEFTALT, KEY_SYSRQ, KEY_C};
  if (virDomainSendKey(domain, VIR_KEYCODE_SET_LINUX, kHold, keys.data(), keys.size(), 0) != 0) {
    return libvirt_failure("Alt+SysRq+C");
  }
  return {};
}

Result<> ask_agent(virDomain* domain) {
  const std::unique_ptr<char, decltype(&::free)> answer(
      virDomainQemuAgentCommand(domain, kAgentCommand, kAgentSeconds, 0), ::free);
  if (!answer) {
    return libvirt_failure("the guest agent");
  }
  return {};
}

Result<> crash_domain(const Selection& selection, CrashBy by) {
  if (by == CrashBy::agent && !selection.allow_taint) {
    return fail(Errc::invalid,
                "a command to the guest agent marks the domain as tainted: allow this with "
                "--allow-taint, or use nmi or sysrq");
  }
  TRY_ASSIGN(const LibvirtConnection connection, connect_libvirt(selection.uri));
  TRY_ASSIGN(const LibvirtDomain domain,
             find_domain(connection.get(), selection.domain, selection.look_up));
  switch (by) {
    case CrashBy::nmi:
      return virDomainInjectNMI(domain.get(), 0) == 0 ? Result<>() : libvirt_failure("the NMI");
    case CrashBy::sysrq:
      return press_keys(domain.get());
    case CrashBy::agent:
      return ask_agent(domain.get());
  }
  return {};
}

}  // namespace

Result<> crash_guest(const Selection& selection, CrashBy by) {
  return selection.socket.empty() ? crash_domain(selection, by) : crash_by_monitor(selection, by);
}

}  // namespace vmcore::acquire
