// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/job/awaited_line.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

namespace vmcore::job {
namespace {

using std::chrono::milliseconds;

// A guest that connects has its stream ready. A stray client must not keep us from a guest, which
// waits for half a minute.
constexpr milliseconds kConnectedWait{3'000};

}  // namespace

Result<AwaitedLine> AwaitedLine::open(const std::string& from, const acquire::Selection& guest,
                                      std::chrono::seconds wait) {
  TRY_ASSIGN(acquire::GuestLine line, acquire::open_guest_line(from, guest));
  AwaitedLine awaited(std::move(line), wait);
  if (awaited.line_.listener) {
    TRY_ASSIGN(awaited.callers_, acquire::Callers::make(std::move(awaited.line_.listener)));
  }
  return awaited;
}

Result<> AwaitedLine::watch(const acquire::Selection& monitor) {
  TRY_ASSIGN(line_.watcher, acquire::watch_monitor(monitor));
  return {};
}

bool AwaitedLine::saw_crash() {
  return line_.watcher && line_.watcher->seen() != acquire::CrashSeen::no;
}

Result<> AwaitedLine::check_watcher() {
  if (line_.watcher && line_.watcher->seen() == acquire::CrashSeen::stopped) {
    return fail(Errc::guest_state,
                "the guest panicked, and no capture kernel took over: it will not send a dump");
  }
  return {};
}

milliseconds AwaitedLine::left() const {
  return std::chrono::ceil<milliseconds>(start_ + wait_ - Clock::now());
}

milliseconds AwaitedLine::patience() const {
  if (callers_) {
    return kConnectedWait;
  }
  return wait_.count() == 0 ? milliseconds(0) : std::max(milliseconds(1), left());
}

Result<> AwaitedLine::await(int cancel, std::span<const int> also, milliseconds at_most) {
  constexpr milliseconds kLongest{60'000};  // poll() has a limit
  std::vector<pollfd> waits{{callers_ ? callers_->fd() : line_.fd.get(), POLLIN, 0},
                            {cancel, POLLIN, 0},
                            {-1, POLLIN, 0}};
  for (const int fd : also) {
    waits.push_back({fd, POLLIN, 0});
  }
  while (true) {
    milliseconds timeout = wait_.count() == 0 ? kLongest : std::min(left(), kLongest);
    if (timeout.count() <= 0) {
      return fail(Errc::not_found, "the guest sent nothing within {} s", wait_.count());
    }
    timeout = at_most.count() == 0 ? timeout : std::min(timeout, at_most);
    TRY(check_watcher());
    waits[2].fd = line_.watcher ? line_.watcher->fd() : -1;
    int ready = ::poll(waits.data(), waits.size(), static_cast<int>(timeout.count()));
    if (ready < 0 && errno != EINTR) {
      return fail_errno(errno, "poll");
    }
    if (ready > 0 && waits[1].revents != 0) {
      return fail(Errc::cancelled, "interrupted");
    }
    ready -= ready > 0 && waits[2].revents != 0 ? 1 : 0;
    if (ready > 0 || at_most.count() != 0) {
      return {};
    }
  }
}

}  // namespace vmcore::job
