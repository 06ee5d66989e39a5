// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/qmp/setup.h"

#include <algorithm>
#include <string_view>

#include "src/acquire/crash/guest_line.h"
#include "src/acquire/qmp/monitor.h"

namespace vmcore::acquire {
namespace {

using qmp::Json;

// Null if this QEMU has no such command or object. An Error only if the monitor is gone.
Result<Json> ask(qmp::Client& monitor, std::string_view command,
                 const Json& arguments = Json::object()) {
  auto answer = monitor.execute(command, arguments);
  if (answer || (answer.error().code != Errc::io && answer.error().code != Errc::unsupported)) {
    return answer;
  }
  return Json();
}

// Whether the list has an object whose type begins with that word: "child<pvpanic-pci>" is a
// pvpanic.
bool has_kind(const Json& list, std::string_view kind) {
  return list.is_array() && std::ranges::any_of(list, [&](const Json& entry) {
           const auto type = qmp::text_member(entry, "type");
           return type && type->starts_with(fmt::format("child<{}", kind));
         });
}

// A port has its name as a property.
Result<bool> has_dump_channel(qmp::Client& monitor, const std::string& folder,
                              const Json& devices) {
  if (!devices.is_array()) {
    return false;
  }
  for (const Json& entry : devices) {
    const auto name = qmp::text_member(entry, "name");
    if (name && qmp::text_member(entry, "type") == "child<virtserialport>") {
      TRY_ASSIGN(const Json port,
                 ask(monitor, "qom-get", {{"path", folder + "/" + *name}, {"property", "name"}}));
      if (port == std::string(kDumpChannel)) {
        return true;
      }
    }
  }
  return false;
}

// Devices of the command line have a name (peripheral) or none (peripheral-anon).
Result<> ask_devices(qmp::Client& monitor, GuestSetup& setup) {
  for (const char* const folder : {"/machine/peripheral", "/machine/peripheral-anon"}) {
    TRY_ASSIGN(const Json devices, ask(monitor, "qom-list", {{"path", folder}}));
    setup.panic_device = setup.panic_device || has_kind(devices, "pvpanic");
    TRY_ASSIGN(const bool channel, has_dump_channel(monitor, folder, devices));
    setup.dump_channel = setup.dump_channel || channel;
    setup.vmcoreinfo_device = setup.vmcoreinfo_device || has_kind(devices, "vmcoreinfo");
  }
  return {};
}

Result<> ask_memory(qmp::Client& monitor, GuestSetup& setup) {
  TRY_ASSIGN(const Json objects, ask(monitor, "qom-list", {{"path", "/objects"}}));
  for (const char* const kind : {"ram", "memfd", "file"}) {
    if (has_kind(objects, fmt::format("memory-backend-{}", kind))) {
      setup.memory = kind == std::string_view("ram") ? "anonymous" : kind;
    }
  }
  TRY_ASSIGN(const Json backends, ask(monitor, "query-memdev"));
  setup.memory_shared =
      backends.is_array() && std::ranges::any_of(backends, [](const Json& backend) {
        return qmp::bool_member(backend, "share").value_or(false);
      });
  return {};
}

// A client that was killed during a snapshot leaves the capability on.
Result<bool> ask_snapshot_left_on(qmp::Client& monitor) {
  TRY_ASSIGN(const Json capabilities, ask(monitor, "query-migrate-capabilities"));
  return capabilities.is_array() && std::ranges::any_of(capabilities, [](const Json& entry) {
           return qmp::text_member(entry, "capability") == "background-snapshot" &&
                  qmp::bool_member(entry, "state").value_or(false);
         });
}

}  // namespace

// A property of the machine since QEMU 6.0 (e0292d7c62f8); before, only SEV could be asked for.
Result<std::string> ask_encryption(qmp::Client& monitor) {
  TRY_ASSIGN(
      const Json guard,
      ask(monitor, "qom-get", {{"path", "/machine"}, {"property", "confidential-guest-support"}}));
  if (guard.is_string() && guard != "") {
    TRY_ASSIGN(const Json type, ask(monitor, "qom-get", {{"path", guard}, {"property", "type"}}));
    return type.is_string() ? type.get<std::string>() : "an unnamed method";
  }
  TRY_ASSIGN(const Json sev, ask(monitor, "query-sev"));
  return qmp::bool_member(sev, "enabled").value_or(false) ? "sev" : "";
}

Result<> ask_kind(qmp::Client& monitor, GuestSetup& setup) {
  TRY_ASSIGN(const Json target, ask(monitor, "query-target"));
  setup.arch = qmp::text_member(target, "arch").value_or("");
  const auto cpus = read_registers([&](const std::string& command, const Json& arguments) {
    return monitor.execute(command, arguments);
  });
  if (cpus) {
    setup.mode = mode_of(*cpus);
  }
  return {};
}

Result<GuestSetup> ask_setup(qmp::Client& monitor) {
  GuestSetup setup;
  TRY_ASSIGN(const Json name, ask(monitor, "query-name"));
  setup.name = qmp::text_member(name, "name").value_or("");
  TRY(ask_kind(monitor, setup));
  TRY(ask_devices(monitor, setup));
  TRY_ASSIGN(setup.encryption, ask_encryption(monitor));
  TRY(ask_memory(monitor, setup));
  TRY_ASSIGN(setup.snapshot_left_on, ask_snapshot_left_on(monitor));
  return setup;
}

Result<GuestSetup> setup_of_monitor(const Selection& selection) {
  TRY_ASSIGN(const auto monitor, open_monitor(selection, {}));
  return ask_setup(*monitor);
}

}  // namespace vmcore::acquire
