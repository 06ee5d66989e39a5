// SPDX-License-Identifier: GPL-2.0-or-later
// The words for policies after a crash.
#pragma once

#include <optional>
#include <string_view>

#include "src/config/config.h"

namespace vmcore::daemon {

// The policy that equals libvirt's on_crash or QEMU's panic action. Nothing for an unknown word.
std::optional<config::AfterCrash> after_crash_of(std::string_view action);

}  // namespace vmcore::daemon
