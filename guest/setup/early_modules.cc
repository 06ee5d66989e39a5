// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/setup/early_modules.h"

#include "guest/setup/kernels.h"

namespace vmcore::guest::setup {
namespace {

// Since Linux 5.13 pvpanic is the common part of two drivers ("misc/pvpanic: split-up generic and
// platform dependent code"); before, it was the driver of the ISA device.
const std::vector<std::string> kModules = {"qemu_fw_cfg", "pvpanic", "pvpanic-mmio", "pvpanic-pci"};

// systemd-modules-load and OpenRC's `modules` both fail if one is missing.
std::string one_a_line(const std::vector<std::string>& modules) {
  std::string text = std::string(kOurMark) + "\n";
  for (const std::string& module : modules) {
    text += module + "\n";
  }
  return text;
}

std::string initramfs_tools_hook(const std::vector<std::string>& modules) {
  return fmt::format(
      "#!/bin/sh\n{}\n[ \"$1\" = prereqs ] && exit 0\n. /usr/share/initramfs-tools/hook-functions\n"
      "for module in {}; do\n  force_load \"$module\"\ndone\n",
      kOurMark, root::joined(modules));
}

}  // namespace

Result<> add_early_modules(Plan& plan) {
  root::Tree& tree = plan.tree;
  const std::vector<std::string> modules = common_modules(tree, kModules);
  if (modules.empty()) {
    plan.notes.emplace_back(
        "no module to load early: the kernel has qemu_fw_cfg and pvpanic built in, or not at all");
    return {};
  }
  TRY(tree.put_ours("/etc/modules-load.d/vmcore-guest.conf", root::file_node(one_a_line(modules)),
                    "modules that report VMCOREINFO and panics to the host"));
  if (!tree.program("mkinitramfs").empty()) {
    TRY(tree.put_ours("/etc/initramfs-tools/hooks/vmcore-guest",
                      root::file_node(initramfs_tools_hook(modules), 0755),
                      "the same modules in the initramfs"));
  }
  if (!tree.program("dracut").empty()) {
    TRY(tree.put_ours("/etc/dracut.conf.d/vmcore-guest.conf",
                      root::file_node(fmt::format("{}\nforce_drivers+=\" {} \"\n", kOurMark,
                                                  root::joined(modules))),
                      "the same modules in the initramfs"));
  }
  if (!tree.program("mkinitcpio").empty()) {
    TRY(tree.put_ours(
        "/etc/mkinitcpio.conf.d/vmcore-guest.conf",
        root::file_node(fmt::format("{}\nMODULES+=({})\n", kOurMark, root::joined(modules))),
        "the same modules in the initramfs"));
  }
  return {};
}

}  // namespace vmcore::guest::setup
