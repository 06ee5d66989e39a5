// SPDX-License-Identifier: GPL-2.0-or-later
// pstore keeps the end of the kernel log of a crash for which no capture kernel was loaded, where
// the machine has storage for it: ERST (a device of QEMU), variables of UEFI, or memory that
// survives a reboot (ramoops).
#pragma once

#include "guest/root/edit_text.h"
#include "guest/setup/plan.h"

namespace vmcore::guest::setup {

// The file that loads a driver of pstore at boot.
inline constexpr std::string_view kPstoreModules = "/etc/modules-load.d/vmcore-guest-pstore.conf";

// Plans what storage this guest needs for it; returns words for the command line. What only the
// user can do is added to plan.by_hand.
Result<root::Words> add_pstore(Plan& plan);

}  // namespace vmcore::guest::setup
