// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/status/judge_status.h"

#include <algorithm>
#include <cerrno>
#include <iterator>

#include "guest/image/find_network.h"
#include "guest/image/ready_image.h"
#include "guest/kexec/kexec.h"
#include "guest/root/state_file.h"
#include "guest/save/target_kinds.h"

namespace vmcore::guest::status {
namespace {

bool has_target(const StatusFacts& facts, std::string_view kind) {
  return config::has_target(facts.capture.value_or(config::CaptureConfig()), kind);
}

// Whether a dump goes elsewhere if it cannot go to the host.
bool has_other_target(const StatusFacts& facts) {
  const config::CaptureConfig config = facts.capture.value_or(config::CaptureConfig());
  return std::ranges::any_of(config.targets, [](const config::Target& target) {
    return save::place_of(target) != save::Place::host;
  });
}

// The targets that send to the host, whether their devices are there or not.
std::vector<std::string> ways_to_host(const StatusFacts& facts) {
  std::vector<std::string> ways;
  const config::CaptureConfig config = facts.capture.value_or(config::CaptureConfig());
  for (const config::Target& target : config.targets) {
    if (save::place_of(target) == save::Place::host) {
      ways.push_back(config::format_target(target));
    }
  }
  return ways;
}

// A kernel that loads only by kexec_load(2), which checks no signature.
Finding judge_kexec_load(const Finding& finding, const StatusFacts& facts) {
  if (is_configured(facts.config, "KEXEC") == false) {
    return with(finding, Verdict::fail,
                "it is built without CONFIG_KEXEC_FILE and CONFIG_KEXEC: boot another kernel");
  }
  const std::string& lockdown = facts.locks.lockdown;
  return lockdown.empty() || lockdown == "none"
             ? finding
             : with(
                   finding, Verdict::fail,
                   fmt::format("it is locked down ({}), and without CONFIG_KEXEC_FILE it can check "
                               "no signature: boot another kernel, or switch off Secure Boot",
                               lockdown));
}

std::string needed_size(const StatusFacts& facts) {
  const std::string word = facts.need ? kexec::crashkernel_word(*facts.need) : "crashkernel=128M";
  return word.substr(word.find('=') + 1);
}

// About the next boot, whose crashkernel= does not serve.
std::string doubt(const StatusFacts& facts) {
  return facts.next.word.empty()
             ? fmt::format("a kernel in {} has no crashkernel=: run vmcore-guest setup",
                           facts.next_file)
             : fmt::format(
                   "{} has {}, which does not serve: {}: run vmcore-guest setup "
                   "--crashkernel {}",
                   facts.next_file, facts.next.word, facts.next.fault, needed_size(facts));
}

std::string why_nothing_is_reserved(const StatusFacts& facts) {
  if (facts.next.serves() && facts.next.word != facts.booted.word) {
    return fmt::format("reboot: {} has {} for the next boot", facts.next_file, facts.next.word);
  }
  if (facts.booted.word.empty()) {
    return facts.next_file.empty() || facts.next.word.empty()
               ? fmt::format("run vmcore-guest setup, or boot with crashkernel={}",
                             needed_size(facts))
               : doubt(facts);
  }
  return fmt::format(
      "the kernel was booted with {}, and reserved nothing{}{}: run vmcore-guest "
      "setup --crashkernel {}, and reboot",
      facts.booted.word, facts.booted.fault.empty() ? "" : ": " + facts.booted.fault,
      facts.kernel_says.empty() ? "" : fmt::format(" (its log: \"{}\")", facts.kernel_says),
      needed_size(facts));
}

}  // namespace

Finding judge_kernel(const StatusFacts& facts) {
  Finding finding{.id = "kernel", .title = "for a kernel that can be captured"};
  finding.value = facts.release;
  if (!facts.kexec) {
    return with(
        finding, Verdict::fail,
        "it cannot load a capture kernel (CONFIG_KEXEC_FILE, CONFIG_KEXEC): boot another kernel");
  }
  std::vector<std::string> missing;
  for (const char* name : {"CRASH_DUMP", "PROC_VMCORE"}) {
    if (is_configured(facts.config, name) == false) {
      missing.push_back(fmt::format("CONFIG_{}", name));
    }
  }
  if (!missing.empty()) {
    return with(
        finding, Verdict::fail,
        fmt::format("it is built without {}: boot another kernel", fmt::join(missing, ", ")));
  }
  if (facts.config.empty()) {
    return with(finding, Verdict::note,
                "CONFIG_CRASH_DUMP and CONFIG_PROC_VMCORE are unknown: its configuration is not in "
                "/proc/config.gz, /boot or /lib/modules");
  }
  if (is_configured(facts.config, "KEXEC_FILE") == false) {
    return judge_kexec_load(finding, facts);
  }
  return finding;
}

Finding judge_reserved(const StatusFacts& facts) {
  Finding finding{.id = "reserved", .title = "for memory reserved for a capture kernel"};
  const std::uint64_t size = facts.reserved.value_or(0);
  if (size == 0) {
    return with(finding, Verdict::fail, why_nothing_is_reserved(facts));
  }
  finding.value = fmt::format("{} MiB", size >> 20);
  for (const kexec::MemoryRange& range : facts.ranges) {
    finding.value += fmt::format(", {:#x}-{:#x}", range.first, range.last);
  }
  return facts.next_file.empty() || facts.next.serves()
             ? finding
             : with(finding, Verdict::note, "the next boot may reserve nothing: " + doubt(facts));
}

Finding judge_setup(const StatusFacts& facts) {
  Finding finding{.id = "setup", .title = "for a complete setup"};
  finding.value = facts.set_up ? "" : "vmcore-guest setup was not run";
  return facts.undone.empty()
             ? finding
             : with(finding, Verdict::warn,
                    fmt::format("setup was cut short: {}: run vmcore-guest setup again",
                                fmt::join(facts.undone, ", ")));
}

Finding judge_image(const StatusFacts& facts) {
  Finding finding{.id = "image", .title = "for a capture image"};
  finding.value = facts.record ? facts.record->image : facts.image;
  if (!facts.capture) {
    return with(finding, Verdict::fail, facts.capture.error().message);
  }
  if (finding.value.empty()) {
    return with(finding, Verdict::warn, "run vmcore-guest load to build and load it");
  }
  if (finding.value == facts.image && facts.image_stale) {
    return with(finding, Verdict::warn,
                "damaged, or older than the configuration, the network, the modules or this "
                "program: run vmcore-guest load");
  }
  if (finding.value == image::volatile_image_path(facts.release)) {
    return with(finding, Verdict::warn,
                fmt::format("kept only until the next boot: make room in {} or make it writable, "
                            "then run vmcore-guest load",
                            root::kStateFolder));
  }
  return finding;
}

Finding judge_fit(const StatusFacts& facts) {
  Finding finding{.id = "fit", .title = "for room for the capture kernel"};
  if (!facts.need) {
    return with(finding, Verdict::note, facts.need.error().message);
  }
  const auto fit = kexec::check_fit(*facts.need, facts.reserved.value_or(0));
  if (!fit) {
    return with(finding, Verdict::fail, fit.error().message);
  }
  if (!fit->empty()) {
    return with(finding, Verdict::warn, fit->front().text);
  }
  finding.value = fmt::format("{} MiB needed", (facts.need->minimum >> 20) + 1);
  return finding;
}

Finding judge_loaded(const StatusFacts& facts) {
  Finding finding{.id = "loaded", .title = "for a loaded capture kernel"};
  if (!facts.loaded) {
    const bool locked = facts.locks.disabled || facts.locks.limit == 0;
    return with(finding, Verdict::fail,
                (locked ? kexec::explain_load_error(kexec::Slot::crash, EPERM, facts.locks)
                        : "run vmcore-guest load") +
                    (facts.pstore_driver.empty()
                         ? ""
                         : "; until then only the log of a crash is kept, by pstore"));
  }
  if (!facts.record) {
    finding.value = "by another program";
    return with(finding, Verdict::warn,
                "that program decides where dumps go (kdump-tools, kdump, kdumpst ...); "
                "vmcore-guest load --force replaces its kernel");
  }
  finding.value = fmt::format("by vmcore-guest: {}, {}", facts.record->kernel, facts.record->image);
  return finding;
}

Finding judge_hotplug(const StatusFacts& facts) {
  Finding finding{.id = "hotplug", .title = "for hotplug of CPUs and memory"};
  if (facts.stays_valid) {
    finding.value = "handled by the kernel, or no hotplug";
    return finding;
  }
  if (facts.reload_rule) {
    finding.value = "reloaded by udev";
    return finding;
  }
  return with(finding, Verdict::warn,
              "a dump lacks CPUs and memory that are added after the load: run vmcore-guest setup, "
              "or vmcore-guest load --reload after each change");
}

Finding judge_channel(const StatusFacts& facts) {
  Finding finding{.id = "channel", .title = "for a way to the host"};
  if (facts.port) {
    finding.value = fmt::format("virtio-serial port {}", config::kPortName);
    return has_target(facts, "port") ? finding
                                     : with(finding, Verdict::note,
                                            fmt::format("{} does not use it", config::kConfigFile));
  }
  const std::string hint = fmt::format(
      "on the host, run vmcorectl check --fix DOMAIN, or add a virtio-serial port named {}",
      config::kPortName);
  const std::vector<std::string> ways = ways_to_host(facts);
  if (ways.size() > facts.missing_ways.size()) {
    finding.value = fmt::format("{}", fmt::join(ways, ", "));
    return finding;
  }
  return with(finding, has_other_target(facts) ? Verdict::note : Verdict::fail, hint);
}

Finding judge_targets(const StatusFacts& facts) {
  Finding finding{.id = "targets", .title = "for targets that can be reached"};
  const config::CaptureConfig config = facts.capture.value_or(config::CaptureConfig());
  std::vector<std::string> names;
  std::ranges::transform(config.targets, std::back_inserter(names), config::format_target);
  finding.value = fmt::format("{}", fmt::join(names, ", "));
  std::vector<std::string> doubts;
  for (const auto* remarks : {&facts.broken_targets, &facts.missing_ways, &facts.network}) {
    std::ranges::transform(*remarks, std::back_inserter(doubts), &Remark::text);
  }
  if (!doubts.empty()) {
    const std::size_t useless = facts.broken_targets.size() + facts.missing_ways.size();
    const bool is_only_missing = doubts.size() == facts.missing_ways.size();
    return with(finding,
                useless == config.targets.size() ? Verdict::fail
                : is_only_missing                ? Verdict::note
                                                 : Verdict::warn,
                fmt::format("{}{}", fmt::join(doubts, "; "),
                            useless == config.targets.size() ? ""
                            : is_only_missing                ? "; the other targets are tried"
                                                             : ""));
  }
  if (image::follows_network(config) && !facts.follows_network) {
    return with(finding, Verdict::note,
                "run vmcore-guest setup: until then a new address of this machine is not noticed "
                "before the next load");
  }
  return finding;
}

Finding judge_panic(const StatusFacts& facts) {
  Finding finding{.id = "panic", .title = "for a panic device"};
  if (!facts.panic_driver) {
    return with(finding, Verdict::warn,
                "without a capture kernel the host is not told of a crash: run modprobe "
                "pvpanic-pci (or pvpanic-mmio); if the machine has no such device, on the host, "
                "run vmcorectl check --fix DOMAIN");
  }
  finding.value = facts.notifies_first
                      ? "tells the host before the capture kernel runs"
                      : "silent while a capture kernel is loaded, which tells the host itself";
  return finding;
}

Finding judge_vmcoreinfo(const StatusFacts& facts) {
  Finding finding{.id = "vmcoreinfo", .title = "for VMCOREINFO at the host"};
  if (facts.vmcoreinfo_device) {
    return finding;
  }
  return with(
      finding, Verdict::warn,
      facts.fw_cfg
          ? "the machine has no vmcoreinfo device: on the host, run vmcorectl check --fix DOMAIN"
          : "run modprobe qemu_fw_cfg");
}

Finding judge_pstore(const StatusFacts& facts) {
  Finding finding{.id = "pstore", .title = "for the log of a crash without capture kernel"};
  if (facts.pstore_driver.empty()) {
    return with(finding, Verdict::note,
                "nothing keeps it: to have at least the log then, run vmcore-guest setup --pstore");
  }
  finding.value = fmt::format("kept by pstore ({})", facts.pstore_driver);
  return finding;
}

Finding judge_early(const StatusFacts& facts) {
  Finding finding{.id = "early", .title = "for a capture kernel in the initramfs"};
  const EarlyFacts& early = facts.early;
  const std::string again =
      early.command.empty() ? "make the initramfs again" : "run " + early.command;
  if (!early.copy || !early.made) {
    return with(finding, Verdict::warn,
                fmt::format("the initramfs of {} has none: {}", facts.release, again));
  }
  finding.value = fmt::format("{:.1f} MiB", static_cast<double>(early.copy->size) / (1U << 20));
  if (early.loaded && early.loaded->error.empty()) {
    finding.value += fmt::format(
        ", loaded {:.1f} s after the start of this boot",
        std::chrono::duration_cast<std::chrono::duration<double>>(early.loaded->at).count());
  }
  if (!early.current) {
    return with(finding, Verdict::warn,
                fmt::format("it is older than the configuration, the network, the modules or this "
                            "program: run vmcore-guest load, then {}",
                            again));
  }
  if (early.loaded && !early.loaded->error.empty()) {
    return with(finding, Verdict::warn,
                fmt::format("it was not loaded at this boot: {}", early.loaded->error));
  }
  return early.loaded ? finding
                      : with(finding, Verdict::note, "reboot: this boot did not have it yet");
}

Finding judge_last(const StatusFacts& facts) {
  Finding finding{.id = "last", .title = "for earlier crashes"};
  if (!facts.last && facts.pstore.empty() && !facts.unseen_targets.empty()) {
    return with(finding, Verdict::note,
                fmt::format("this guest cannot see the folder of {}: mount its file system, and "
                            "run vmcore-guest status again",
                            fmt::join(facts.unseen_targets, ", ")));
  }
  if (!facts.last && facts.pstore.empty()) {
    finding.value = has_other_target(facts) ? "none is known in this guest; whether the host or "
                                              "another machine has one is not known"
                                            : "not known: no target is in this guest";
    return finding;
  }
  std::vector<std::string> places;
  if (facts.last) {
    places.push_back(facts.last->path);
  }
  if (!facts.pstore.empty()) {
    places.push_back(facts.pstore);
  }
  finding.value = fmt::format("{}", fmt::join(places, ", "));
  if (facts.last && facts.last->only_log) {
    return with(finding, Verdict::warn,
                "the memory of the last crash could not be saved in this guest: make room for it, "
                "or see the console for the reason");
  }
  return facts.last && !facts.last->complete
             ? with(finding, Verdict::warn, "the last dump is incomplete")
             : with(finding, Verdict::note, "remove what you do not need");
}

std::vector<Finding> judge_status(const StatusFacts& facts) {
  std::vector<Finding> findings = {judge_kernel(facts), judge_reserved(facts), judge_setup(facts),
                                   judge_image(facts)};
  if (facts.reserved.value_or(0) != 0) {
    findings.push_back(judge_fit(facts));
  }
  findings.push_back(judge_loaded(facts));
  if (facts.early.set_up) {
    findings.push_back(judge_early(facts));
  }
  findings.insert(findings.end(), {judge_hotplug(facts), judge_channel(facts), judge_targets(facts),
                                   judge_panic(facts), judge_vmcoreinfo(facts), judge_pstore(facts),
                                   judge_last(facts)});
  return findings;
}

std::string motd(const StatusFacts& facts) {
  std::string text;
  if (facts.last && facts.last->only_log) {
    text += fmt::format("This guest crashed. Its memory could not be saved; its log: {}\n",
                        facts.last->path);
  } else if (facts.last) {
    text += fmt::format(
        "This guest crashed. {}: {}{}\n", facts.last->complete ? "Its dump" : "Its incomplete dump",
        facts.last->path,
        facts.last->path.starts_with("/dev/") ? " (extract it with vmcorectl receive)" : "");
  }
  if (!facts.pstore.empty()) {
    text += fmt::format("The kernel log of an earlier boot (from pstore) is in {}\n", facts.pstore);
  }
  return text;
}

}  // namespace vmcore::guest::status
