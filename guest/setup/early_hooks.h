// SPDX-License-Identifier: GPL-2.0-or-later
// The hooks that put a copy of the capture kernel into each initramfs, and load it there
// (guest/kexec/early_copy.h): for initramfs-tools, dracut and mkinitcpio. A hook that fails costs
// neither the initramfs nor the boot.
#pragma once

#include "guest/setup/plan.h"

namespace vmcore::guest::setup {

// Plans the hooks for each of the three programs that is installed. If none is, plan.by_hand gets
// the steps.
Result<> add_early_hooks(Plan& plan);

// Whether the guest has such hooks.
bool has_early_hooks(const root::Root& root);

// The command that makes the initramfs of a kernel again; empty if none of the programs is
// installed.
Command initramfs_command(const root::Tree& tree, const std::string& release);

}  // namespace vmcore::guest::setup
