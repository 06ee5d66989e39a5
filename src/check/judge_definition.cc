// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/check/judge_definition.h"

#include <string>

#include "src/acquire/commands.h"

namespace vmcore::check {
namespace {

// How its definition is changed.
std::string remedy(const GuestFacts& facts, const char* qemu_option) {
  if (facts.domain.empty()) {
    return fmt::format("start QEMU with {}", qemu_option);
  }
  if (facts.setup.owner != nullptr) {
    return fmt::format("change it in {}, which owns the definition{}", facts.setup.owner->name,
                       facts.setup.owner->knob);
  }
  if (!facts.setup.persistent) {
    return "the domain is transient: change the definition that it is created from";
  }
  if (facts.setup.ready_when_started) {
    return "stop and start the guest: its definition already has one";
  }
  return acquire::vmcorectl_command(facts.selection, "check --fix", facts.domain);
}

// How a guest that crashed is kept, from now on.
std::string keep_crashed(const GuestFacts& facts) {
  if (facts.setup.owner != nullptr) {
    return remedy(facts, "");
  }
  return acquire::virsh_command(
      facts.selection, "set-lifecycle-action", facts.domain,
      fmt::format("crash preserve{}{}", facts.setup.active ? " --live" : "",
                  facts.setup.persistent ? " --config" : ""));
}

}  // namespace

Finding judge_encryption(const GuestFacts& facts) {
  Finding finding{.id = "encryption",
                  .title = "for memory that is not encrypted",
                  .value = facts.setup.encryption};
  return facts.setup.encryption.empty()
             ? finding
             : with(
                   finding, Verdict::fail,
                   "the host cannot read this memory: use kdump in the guest (vmcore-guest setup)");
}

Finding judge_panic_device(const GuestFacts& facts) {
  Finding finding{.id = "panic", .title = "for a panic device"};
  if (facts.setup.panic_device) {
    finding.value = "present; whether the guest's driver uses it is not visible from outside";
    return finding;
  }
  return with(
      finding, Verdict::warn,
      fmt::format(
          "the host does not notice a panic, and the guest may reboot before it is dumped: {}",
          remedy(facts, "-device pvpanic-pci -action panic=pause")));
}

Finding judge_on_crash(const GuestFacts& facts) {
  Finding finding{.id = "on_crash",
                  .title = "for the action after a panic",
                  .value = facts.setup.on_crash.value_or("")};
  const std::string& action = finding.value;
  if (!facts.setup.on_crash) {
    return with(finding, Verdict::note,
                "not known, QEMU does not report it; -action panic=pause, or set-action in QMP, "
                "keeps the guest for a dump");
  }
  if (!facts.setup.panic_device) {
    return with(finding, Verdict::note, "it has no effect without a panic device");
  }
  if (action == "preserve" || action == "preserve-running") {
    return finding;
  }
  if (action.starts_with("coredump-")) {
    // libvirt 9.0 src/qemu/qemu_driver.c, processGuestPanicEvent.
    return with(finding, Verdict::warn,
                "libvirt writes all of the guest's memory to its auto_dump_path; if that is full, "
                "the guest stays crashed until somebody notices");
  }
  return with(finding, Verdict::warn,
              fmt::format("the memory of the guest is lost before it can be dumped: {}",
                          keep_crashed(facts)));
}

Finding judge_vmcoreinfo(const GuestFacts& facts) {
  Finding finding{.id = "vmcoreinfo", .title = "for a vmcoreinfo device"};
  if (facts.setup.vmcoreinfo_device) {
    finding.value = "present; whether the guest wrote to it is not visible without a dump";
    return finding;
  }
  const std::string how = remedy(facts, "-device vmcoreinfo");
  const report::Summary* census = census_of(facts);
  if (census != nullptr && !census->release.empty()) {
    return with(
        finding, Verdict::note,
        fmt::format("vmcorectl finds the kernel without it, but other tools may not: {}", how));
  }
  return with(finding, Verdict::warn,
              fmt::format("vmcorectl has to search the guest's memory for its kernel: {}", how));
}

Finding judge_channel(const GuestFacts& facts) {
  Finding finding{.id = "channel", .title = "for a channel for the guest's own dump"};
  if (facts.setup.dump_channel) {
    finding.value =
        "present; whether a capture kernel in the guest uses it is not visible from outside";
    return finding;
  }
  return with(
      finding, Verdict::note,
      fmt::format(
          "the guest's own capture kernel (vmcore-guest) cannot send a dump to this host: {}",
          remedy(facts,
                 "a virtserialport named org.vmcorectl.dump.0, see "
                 "`receive` in vmcorectl(1)")));
}

}  // namespace vmcore::check
