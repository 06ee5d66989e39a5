// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/job/deadline.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#include <cerrno>

namespace vmcore::job {

Result<Deadline> Deadline::after(std::chrono::milliseconds time, int cancel) {
  Fd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  Fd either(::epoll_create1(EPOLL_CLOEXEC));
  itimerspec when{};
  when.it_value.tv_sec = time.count() / 1000;
  when.it_value.tv_nsec = time.count() % 1000 * 1'000'000;
  if (!timer || !either || ::timerfd_settime(timer.get(), 0, &when, nullptr) != 0) {
    return fail_errno(errno, "timerfd");
  }
  for (const int fd : {timer.get(), cancel}) {
    epoll_event wanted{};
    wanted.events = EPOLLIN;
    if (fd >= 0 && ::epoll_ctl(either.get(), EPOLL_CTL_ADD, fd, &wanted) != 0) {
      return fail_errno(errno, "epoll_ctl");
    }
  }
  return Deadline(std::move(timer), std::move(either));
}

bool Deadline::is_over() const {
  pollfd timer{timer_.get(), POLLIN, 0};
  return ::poll(&timer, 1, 0) == 1;
}

}  // namespace vmcore::job
