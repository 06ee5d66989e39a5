// SPDX-License-Identifier: GPL-2.0-or-later
// What is done with a guest after a crash, in words.
#pragma once

#include <optional>
#include <string_view>

#include "src/config/config.h"

namespace vmcore::daemon {

// "restart": a stable word.
std::string_view after_crash_name(config::AfterCrash after);

// What libvirt's on_crash, or QEMU's panic action, comes to. Nothing for a word that is not known.
std::optional<config::AfterCrash> after_crash_of(std::string_view action);

}  // namespace vmcore::daemon
