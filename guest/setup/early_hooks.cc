// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/setup/early_hooks.h"

#include <algorithm>
#include <array>

#include "guest/setup/services.h"

namespace vmcore::guest::setup {
namespace {

// A file of a hook; {0} is kOurMark, {1} the path of vmcore-guest in the guest.
struct HookFile {
  const char* path;
  unsigned mode;
  const char* text;
};

// initramfs-tools(7): init-top runs first, after /dev, /proc, /sys and /run are mounted.
constexpr std::array<HookFile, 2> kInitramfsTools = {{
    {"/etc/initramfs-tools/hooks/vmcore-guest-early", 0755, R"(#!/bin/sh
{0}
[ "$1" = prereqs ] && exit 0
"{1}" early --kernel "$version" "$DESTDIR" ||
  echo "W: vmcore-guest: the initramfs of $version has no capture kernel" >&2
exit 0
)"},
    {"/etc/initramfs-tools/scripts/init-top/vmcore-guest-early", 0755, R"(#!/bin/sh
{0}
[ "$1" = prereqs ] && exit 0
[ -x /usr/lib/vmcore-guest/vmcore-guest ] && /usr/lib/vmcore-guest/vmcore-guest load --early
exit 0
)"},
}};

// dracut.modules(7): dracut reads modules from this folder only. Its hooks are sourced, under
// systemd, too.
constexpr std::array<HookFile, 3> kDracut = {{
    {"/usr/lib/dracut/modules.d/90vmcore-guest/module-setup.sh", 0755, R"(#!/bin/bash
{0}
check() {{
  return 255
}}

depends() {{
  return 0
}}

install() {{
  "{1}" early --kernel "$kernel" "$initdir" ||
    dwarn "vmcore-guest: the initramfs of $kernel has no capture kernel"
  inst_hook pre-udev 00 "$moddir/load-capture-kernel.sh"
  return 0
}}
)"},
    {"/usr/lib/dracut/modules.d/90vmcore-guest/load-capture-kernel.sh", 0755, R"(#!/bin/sh
{0}
if [ -x /usr/lib/vmcore-guest/vmcore-guest ]; then
  /usr/lib/vmcore-guest/vmcore-guest load --early || :
fi
)"},
    {"/etc/dracut.conf.d/vmcore-guest-early.conf", 0644, R"({0}
add_dracutmodules+=" vmcore-guest "
)"},
}};

// mkinitcpio(8). With its hook `systemd` no runtime hook runs, but units do.
constexpr std::array<HookFile, 3> kMkinitcpio = {{
    {"/etc/initcpio/install/vmcore-guest", 0755, R"(#!/bin/bash
{0}
build() {{
  "{1}" early --kernel "$KERNELVERSION" "$BUILDROOT" ||
    warning "vmcore-guest: the initramfs of $KERNELVERSION has no capture kernel"
  if [[ -d $BUILDROOT/usr/lib/systemd/system ]]; then
    local units=$BUILDROOT/usr/lib/systemd/system
    mkdir -p "$units/sysinit.target.wants"
    ln -sf ../vmcore-guest-early.service "$units/sysinit.target.wants/vmcore-guest-early.service"
    printf '%s\n' '[Unit]' 'Description=Capture kernel that saves an early crash' \
      'DefaultDependencies=no' 'Before=sysinit.target' '[Service]' 'Type=oneshot' \
      'ExecStart=-/usr/lib/vmcore-guest/vmcore-guest load --early' \
      >"$units/vmcore-guest-early.service"
  else
    add_runscript
  fi
  return 0
}}
)"},
    {"/etc/initcpio/hooks/vmcore-guest", 0755, R"(#!/usr/bin/ash
{0}
run_earlyhook() {{
  [ -x /usr/lib/vmcore-guest/vmcore-guest ] && /usr/lib/vmcore-guest/vmcore-guest load --early
  return 0
}}
)"},
    {"/etc/mkinitcpio.conf.d/vmcore-guest-early.conf", 0644, R"({0}
HOOKS+=(vmcore-guest)
)"},
}};

template <std::size_t N>
Result<bool> add_files(root::Tree& tree, const char* maker, const std::string& program,
                       const std::array<HookFile, N>& files) {
  if (tree.program(maker).empty()) {
    return false;
  }
  for (const HookFile& file : files) {
    const std::string text = fmt::format(fmt::runtime(file.text), kOurMark, program);
    TRY(tree.put_ours(file.path, root::file_node(text, file.mode),
                      "loads the capture kernel from the initramfs"));
  }
  return true;
}

}  // namespace

Result<> add_early_hooks(Plan& plan) {
  root::Tree& tree = plan.tree;
  TRY_ASSIGN(const std::string program, installed_program(tree));
  TRY_ASSIGN(const bool initramfs_tools, add_files(tree, "mkinitramfs", program, kInitramfsTools));
  TRY_ASSIGN(const bool dracut, add_files(tree, "dracut", program, kDracut));
  TRY_ASSIGN(const bool mkinitcpio, add_files(tree, "mkinitcpio", program, kMkinitcpio));
  if (!initramfs_tools && !dracut && !mkinitcpio) {
    plan.by_hand.emplace_back(
        "--early: neither initramfs-tools nor dracut nor mkinitcpio was found: make your initramfs "
        "run `vmcore-guest early FOLDER` when it is made, and "
        "`/usr/lib/vmcore-guest/vmcore-guest load --early` when it starts");
  }
  return {};
}

bool has_early_hooks(const root::Root& root) {
  return std::ranges::any_of(
      std::array{kInitramfsTools.front().path, kDracut.front().path, kMkinitcpio.front().path},
      [&root](const char* path) { return root.exists(path); });
}

Command initramfs_command(const root::Tree& tree, const std::string& release) {
  if (!tree.program("mkinitramfs").empty()) {
    return {"update-initramfs", "-u", "-k", release};
  }
  if (!tree.program("dracut").empty()) {
    return {"dracut", "--force", "--kver", release};
  }
  return tree.program("mkinitcpio").empty() ? Command() : Command{"mkinitcpio", "-P"};
}

}  // namespace vmcore::guest::setup
