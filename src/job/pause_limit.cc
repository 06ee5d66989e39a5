// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/job/pause_limit.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <stop_token>

namespace vmcore::job {

Result<> PauseLimit::begin(pid_t holder) {
  if (limit_.count() == 0) {
    return {};
  }
  holder_ = Fd(static_cast<int>(::syscall(SYS_pidfd_open, holder, 0)));
  if (!holder_) {
    return fail_errno(errno, "pidfd_open");
  }
  until_ = Clock::now() + limit_;
  watch_ = std::jthread([this, until = *until_](const std::stop_token& stop) {
    std::mutex mutex;
    std::unique_lock lock(mutex);
    std::condition_variable_any never;
    never.wait_until(lock, stop, until, [] { return false; });
    if (!stop.stop_requested()) {
      over_ = true;
      ::syscall(SYS_pidfd_send_signal, holder_.get(), SIGKILL, nullptr, 0);
    }
  });
  return {};
}

void PauseLimit::end() {
  watch_ = {};
  until_.reset();
}

}  // namespace vmcore::job
