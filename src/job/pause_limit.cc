// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/job/pause_limit.h"

#include <condition_variable>
#include <mutex>
#include <stop_token>

#include "src/base/process.h"
#include "src/base/start_thread.h"

namespace vmcore::job {

Result<> PauseLimit::begin(pid_t holder) {
  if (limit_.count() == 0) {
    return {};
  }
  TRY_ASSIGN(holder_, open_pidfd(holder));
  until_ = Clock::now() + limit_;
  const auto kill_at_end = [this, until = *until_](const std::stop_token& stop) {
    std::mutex mutex;
    std::unique_lock lock(mutex);
    std::condition_variable_any never;
    never.wait_until(lock, stop, until, [] { return false; });
    if (!stop.stop_requested()) {
      over_ = true;
      kill_process(holder_);
    }
  };
  TRY_ASSIGN(watch_, start_thread<std::jthread>(kill_at_end));
  return {};
}

void PauseLimit::end() {
  watch_ = {};
  until_.reset();
}

}  // namespace vmcore::job
