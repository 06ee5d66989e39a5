// Saving a crash: the targets of the configuration in turn, until one has all of it.
#pragma once

#include <string>

#include "guest/config/capture_config.h"
#include "guest/save/say.h"
#include "guest/save/supervise.h"

namespace vmcore::guest::save {

// The memory of the kernel that crashed, as its capture kernel shows it.
inline constexpr const char* kVmcore = "/proc/vmcore";

enum class SaveEnd : std::uint8_t {
  complete,    // some target has every page that was asked for
  incomplete,  // some target has what could be read
  nothing,     // no target took all that there was
  died,        // the same, and a process that tried it died or hung, but for the deadline
};

// Each target is tried by a process of its own: one that crashes, hangs or runs out of memory costs
// that target only. What is found and done is told by `say`, the messages of the crash first.
// `limits` are those of each of them; the deadline ends all of it.
SaveEnd save_crash(const std::string& vmcore, const config::CaptureConfig& config,
                   const Limits& limits, const Say& say);

}  // namespace vmcore::guest::save
