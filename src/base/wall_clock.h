// SPDX-License-Identifier: GPL-2.0-or-later
// The host's clock, which somebody may set back.
#pragma once

#include <chrono>

namespace vmcore {

// Since the epoch.
inline std::chrono::microseconds wall_clock() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
      std::chrono::system_clock::now().time_since_epoch());
}

}  // namespace vmcore
