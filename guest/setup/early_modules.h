// SPDX-License-Identifier: GPL-2.0-or-later
// The modules that a guest should load early: qemu_fw_cfg tells QEMU where VMCOREINFO is, pvpanic
// reports a panic to it.
#pragma once

#include "guest/setup/plan.h"

namespace vmcore::guest::setup {

// Adds them to modules-load.d, and to the configuration of the program that makes the initramfs:
// initramfs-tools, dracut, mkinitcpio.
Result<> add_early_modules(Plan& plan);

}  // namespace vmcore::guest::setup
