// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/daemon/loop.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <thread>
#include <vector>

#include "src/base/fd.h"
#include "src/base/start_thread.h"
#include "src/daemon/log.h"

namespace vmcore::daemon {

// What threads have done. It outlives the loop where a thread does.
struct Loop::Mailbox {
  Fd wake{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  std::mutex mutex;
  std::vector<Task> tasks;

  void put(Task task) {
    const std::lock_guard lock(mutex);
    tasks.push_back(std::move(task));
    const std::uint64_t one = 1;
    if (::write(wake.get(), &one, sizeof one) < 0) {
      // It is readable already.
    }
  }

  std::vector<Task> take() {
    const std::lock_guard lock(mutex);
    std::uint64_t count = 0;
    if (::read(wake.get(), &count, sizeof count) < 0) {
      // Nobody has written since.
    }
    return std::exchange(tasks, {});
  }
};

Loop::Loop() : mailbox_(std::make_shared<Mailbox>()) {
  watch(mailbox_->wake.get(), [this] {
    for (const Task& task : mailbox_->take()) {
      task();
    }
  });
}

void Loop::watch(int fd, Task ready) {
  watched_[fd] = {++last_watch_, std::make_shared<Task>(std::move(ready))};
}

void Loop::forget(int fd) { watched_.erase(fd); }

Loop::Timer Loop::at(Clock::time_point when, Task task) {
  timers_.emplace(std::pair(when, ++last_timer_), std::move(task));
  due_.emplace(last_timer_, when);
  return last_timer_;
}

void Loop::cancel(Timer timer) {
  if (const auto found = due_.find(timer); found != due_.end()) {
    timers_.erase({found->second, timer});
    due_.erase(found);
  }
}

void Loop::start_thread(Work work) {
  const auto shared = std::make_shared<Work>(std::move(work));
  if (!try_start_thread(shared)) {
    after(std::chrono::seconds(1), [this, shared] { start_thread(std::move(*shared)); });
  }
}

bool Loop::try_start_thread(const std::shared_ptr<Work>& work) {
  // The work ends in the thread, and what it owns with it.
  auto thread = vmcore::start_thread<std::thread>(
      [mailbox = mailbox_, work] { mailbox->put(std::exchange(*work, {})()); });
  const bool was_short = std::exchange(short_of_threads_, !thread);
  if (thread) {
    thread->detach();
  } else if (!was_short) {
    say(Priority::error, "", thread.error().message + "; vmcored tries it again");
  }
  return thread.has_value();
}

std::chrono::milliseconds Loop::until_next_timer(std::chrono::milliseconds most) const {
  using std::chrono::milliseconds;
  if (timers_.empty()) {
    return most;
  }
  const auto left = std::chrono::ceil<milliseconds>(timers_.begin()->first.first - Clock::now());
  return std::clamp(left, milliseconds(0), most);
}

// Those that are due now: one that sets itself again waits for the next time round.
void Loop::call_due_timers() {
  const auto now = Clock::now();
  std::vector<Timer> due;
  for (auto timer = timers_.begin(); timer != timers_.end() && timer->first.first <= now; ++timer) {
    due.push_back(timer->first.second);
  }
  for (const Timer timer : due) {
    const auto found = due_.find(timer);
    if (found == due_.end()) {
      continue;  // one that was called before cancelled it
    }
    const auto entry = timers_.find({found->second, timer});
    const Task task = std::move(entry->second);
    timers_.erase(entry);
    due_.erase(found);
    task();
  }
}

Result<> Loop::run_once(std::chrono::milliseconds most) {
  std::vector<pollfd> waits;
  std::vector<std::uint64_t> since;
  for (const auto& [fd, watched] : watched_) {
    waits.push_back({fd, POLLIN, 0});
    since.push_back(watched.since);
  }
  const auto timeout = until_next_timer(most);
  if (::poll(waits.data(), waits.size(), static_cast<int>(timeout.count())) < 0 && errno != EINTR) {
    return fail_errno(errno, "poll");
  }
  for (std::size_t i = 0; i < waits.size() && !stopped_; ++i) {
    const auto found = watched_.find(waits[i].fd);
    // A callback before may have forgotten it, or watches another file of that number.
    if (waits[i].revents != 0 && found != watched_.end() && found->second.since == since[i]) {
      const std::shared_ptr<Task> ready = found->second.ready;
      (*ready)();
    }
  }
  call_due_timers();
  return {};
}

Result<> Loop::run() {
  constexpr std::chrono::hours kLong(1);
  while (!stopped_) {
    TRY(run_once(kLong));
  }
  return {};
}

}  // namespace vmcore::daemon
