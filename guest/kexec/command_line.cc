// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/kexec/command_line.h"

#include <algorithm>
#include <array>

#include "guest/config/kernel_words.h"

namespace vmcore::guest::kexec {
namespace {

// All are known to Linux 6.1 and harmless elsewhere: the kernel ignores unknown words.
// (Documentation/admin-guide/kernel-parameters.txt)
constexpr std::array<std::string_view, 12> kWords = {
    "reset_devices",               // drivers reset what the crashed kernel left running
    "nr_cpus=1",                   // per-CPU memory for one CPU
    "irqpoll",                     // devices of the crashed kernel raise unexpected interrupts
    "panic=90",                    // if it panics too, the host can still dump it from outside
    "oops=panic",                  //
    "cgroup_disable=memory",       // saves memory
    "numa=off",                    //
    "transparent_hugepage=never",  //
    "novmcoredd",                  // no device dumps appended to /proc/vmcore
    "acpi_no_memhotplug",          // must not add the crashed kernel's memory
    "nokaslr",                     // its memory is small and fixed
    "rdinit=/init",
};

// The inherited words of the running kernel. A name that ends in "." is that of a module.
constexpr std::array<std::string_view, 29> kInherited = {
    // Consoles.
    "console",
    "earlycon",
    "earlyprintk",
    "loglevel",
    "ignore_loglevel",
    "8250.",
    // Devices that are found in no other way (microvm, Firecracker).
    "virtio_mmio.",
    // How the hardware is driven.
    "acpi",
    "noapic",
    "nolapic",
    "apic",
    "nox2apic",
    "lapic",
    "pci",
    "pcie_ports",
    "iommu",
    "intel_iommu",
    "amd_iommu",
    "hpet",
    "tsc",
    "notsc",
    "clocksource",
    "no_timer_check",
    "idle",
    "no5lvl",
    "mem_encrypt",
    "reboot",
    "no-kvmclock",
    // Which modules may be loaded.
    "module.",
};

void add_word(std::string& line, std::string_view word) {
  line += line.empty() ? "" : " ";
  line += word;
}

bool is_inherited(std::string_view word) {
  const std::string_view name = word.substr(0, word.find('='));
  return std::ranges::any_of(kInherited, [&](std::string_view known) {
    return known.ends_with('.') ? name.starts_with(known) : name == known;
  });
}

}  // namespace

std::string capture_command_line(std::string_view running, std::string_view append) {
  std::string line;
  const auto add = [&](std::string_view word) { add_word(line, word); };
  std::ranges::for_each(kWords, add);
  for (const std::string& word : config::kernel_words(running)) {
    if (word == "--") {
      break;  // the rest is for init
    }
    if (is_inherited(word)) {
      add(word);
    }
  }
  std::ranges::for_each(config::kernel_words(append), add);
  return line;
}

std::string reboot_command_line(std::string_view running, std::string_view append) {
  std::string line;
  for (const std::string& word : config::kernel_words(running)) {
    if (!word.starts_with("BOOT_IMAGE=") && !word.starts_with("initrd=")) {
      add_word(line, word);
    }
  }
  for (const std::string& word : config::kernel_words(append)) {
    add_word(line, word);
  }
  return line;
}

}  // namespace vmcore::guest::kexec
