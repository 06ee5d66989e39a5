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
    return fmt::format("change it in {}, whose definition it is{}", facts.setup.owner->name,
                       facts.setup.owner->knob);
  }
  if (!facts.setup.persistent) {
    return "change what it is created from, for it is transient";
  }
  if (facts.setup.ready_when_started) {
    return "stop and start the guest, its definition has one already";
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
             : with(finding, Verdict::fail,
                    "the host sees only what the processor encrypted: use kdump in the guest");
}

Finding judge_panic_device(const GuestFacts& facts) {
  Finding finding{.id = "panic", .title = "for a panic device"};
  if (facts.setup.panic_device) {
    finding.value = "there; whether the guest's driver uses it cannot be seen from outside";
    return finding;
  }
  return with(
      finding, Verdict::warn,
      fmt::format("nobody is told when it panics, and it may reboot before it is dumped: {}",
                  remedy(facts, "-device pvpanic-pci -action panic=pause")));
}

Finding judge_on_crash(const GuestFacts& facts) {
  Finding finding{.id = "on_crash",
                  .title = "for what becomes of it when it panics",
                  .value = facts.setup.on_crash.value_or("")};
  const std::string& action = finding.value;
  if (!facts.setup.on_crash) {
    return with(finding, Verdict::note,
                "not known: QEMU does not tell. -action panic=pause, or set-action by QMP, keeps "
                "it to be dumped");
  }
  if (!facts.setup.panic_device) {
    return with(finding, Verdict::note, "without a panic device it has no effect");
  }
  if (action == "preserve" || action == "preserve-running") {
    return finding;
  }
  if (action.starts_with("coredump-")) {
    // libvirt 9.0 src/qemu/qemu_driver.c, processGuestPanicEvent.
    return with(finding, Verdict::warn,
                "libvirt then writes all of its memory to its auto_dump_path; where that is full, "
                "the guest stays crashed until somebody sees it");
  }
  return with(
      finding, Verdict::warn,
      fmt::format("its memory is gone before anybody can dump it: {}", keep_crashed(facts)));
}

Finding judge_vmcoreinfo(const GuestFacts& facts) {
  Finding finding{.id = "vmcoreinfo", .title = "for a vmcoreinfo device"};
  if (facts.setup.vmcoreinfo_device) {
    finding.value = "there; whether the guest wrote to it cannot be seen without a dump";
    return finding;
  }
  const std::string how = remedy(facts, "-device vmcoreinfo");
  const report::Summary* census = census_of(facts);
  if (census != nullptr && !census->release.empty()) {
    return with(finding, Verdict::note,
                fmt::format("vmcorectl finds the kernel without it, other tools may not: {}", how));
  }
  return with(finding, Verdict::warn,
              fmt::format("its kernel has to be searched for in its memory: {}", how));
}

Finding judge_channel(const GuestFacts& facts) {
  Finding finding{.id = "channel", .title = "for a channel for the guest's own dump"};
  if (facts.setup.dump_channel) {
    finding.value = "there; whether the guest has a capture kernel that uses it cannot be seen";
    return finding;
  }
  return with(finding, Verdict::note,
              fmt::format("a capture kernel of its own (vmcore-guest) cannot send to this host: {}",
                          remedy(facts,
                                 "a virtserialport named org.vmcorectl.dump.0, see "
                                 "`receive` in vmcorectl(1)")));
}

}  // namespace vmcore::check
