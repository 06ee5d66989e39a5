// SPDX-License-Identifier: GPL-2.0-or-later
// Loop: one thread that waits for descriptors and times, and calls what belongs to them. What may
// block runs in the background: in a thread of its own, whose result comes back into the loop.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <utility>

#include "src/base/result.h"

namespace vmcore::daemon {

class Loop {
 public:
  using Clock = std::chrono::steady_clock;
  using Task = std::function<void()>;
  // Of a timer; 0: none.
  using Timer = std::uint64_t;

  Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Calls `ready` each time the descriptor can be read, or has an error, until forget(). It is
  // borrowed: call forget() before it is closed. A second call replaces the first.
  void watch(int fd, Task ready);
  void forget(int fd);

  // Calls `task` once, at that time or later.
  Timer at(Clock::time_point when, Task task);
  Timer after(Clock::duration wait, Task task) { return at(Clock::now() + wait, std::move(task)); }
  // Does nothing for a timer that was called already, and for none.
  void cancel(Timer timer);

  // Calls `work` in a thread of its own, then `done` with what it returned, in the loop. Where the
  // loop has ended, `done` is not called. `work` owns what it uses: nothing waits for it. If the
  // host has no room for a thread, it is tried again each second.
  template <class Value>
  void in_background(std::function<Value()> work, std::function<void(Value)> done) {
    start_thread([work = std::move(work), done = std::move(done)] {
      auto value = std::make_shared<Value>(work());
      return Task([done, value] { done(std::move(*value)); });
    });
  }

  // Runs until stop(). An Error if it cannot wait.
  Result<> run();
  void stop() { stopped_ = true; }
  // Waits once, at most so long, and calls what is due.
  Result<> run_once(std::chrono::milliseconds most);

 private:
  struct Mailbox;
  using Work = std::function<Task()>;
  void start_thread(Work work);
  bool try_start_thread(const std::shared_ptr<Work>& work);
  void call_due_timers();
  std::chrono::milliseconds until_next_timer(std::chrono::milliseconds most) const;

  struct Watched {
    std::uint64_t since = 0;  // rises with each watch(): tells a number that was used again
    std::shared_ptr<Task> ready;
  };
  std::map<int, Watched> watched_;
  std::uint64_t last_watch_ = 0;
  std::map<std::pair<Clock::time_point, Timer>, Task> timers_;
  std::map<Timer, Clock::time_point> due_;
  Timer last_timer_ = 0;
  std::shared_ptr<Mailbox> mailbox_;  // shared with the threads
  bool short_of_threads_ = false;
  bool stopped_ = false;
};

}  // namespace vmcore::daemon
