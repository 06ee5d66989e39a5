// The modules that a guest should have from its start: qemu_fw_cfg tells QEMU where VMCOREINFO is,
// pvpanic tells it of a panic.
#pragma once

#include "guest/setup/plan.h"

namespace vmcore::guest::setup {

// By modules-load.d, and in whatever makes the initramfs: initramfs-tools, dracut, mkinitcpio.
Result<> add_early_modules(Plan& plan);

}  // namespace vmcore::guest::setup
