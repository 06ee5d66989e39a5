// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/save/wait_until.h"

#include <thread>

namespace vmcore::guest::save {

bool wait_until(const std::function<bool()>& condition, std::chrono::seconds patience,
                const std::function<void()>& meanwhile) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point until = Clock::now() + patience;
  while (!condition()) {
    if (Clock::now() >= until) {
      return false;
    }
    meanwhile();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return true;
}

}  // namespace vmcore::guest::save
