// SPDX-License-Identifier: GPL-2.0-or-later
// Saves a crash to the first configured target that can store all of it.
#pragma once

#include <string>

#include "guest/config/capture_config.h"
#include "guest/save/say.h"
#include "guest/save/supervise.h"

namespace vmcore::guest::save {

// The memory of the crashed kernel, as the capture kernel shows it.
inline constexpr const char* kVmcore = "/proc/vmcore";

enum class SaveEnd : std::uint8_t {
  complete,    // a target has every page of the level
  incomplete,  // a target has every page that could be read
  nothing,     // no target has a dump
  died,        // like `nothing`; and the process of a target died or hung before the deadline
};

// Tries each target in a process of its own, so that a crash, a hang or a lack of memory costs only
// that target. Reports through `say`, first the messages of the crash. `limits` apply to each
// process, their deadline to all together.
SaveEnd save_crash(const std::string& vmcore, const config::CaptureConfig& config,
                   const Limits& limits, const Say& say);

}  // namespace vmcore::guest::save
