#include "src/job/awaited_line.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace vmcore::job {
namespace {

using std::chrono::milliseconds;

// Who connects and speaks is a guest that has its stream ready; a stray must not keep us from one,
// which waits for half a minute.
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

Result<> AwaitedLine::watch(const std::filesystem::path& monitor) {
  TRY_ASSIGN(line_.witness, acquire::watch_monitor(monitor));
  return {};
}

bool AwaitedLine::saw_crash() const {
  return line_.witness && line_.witness->seen() != acquire::CrashSeen::no;
}

Result<> AwaitedLine::check_witness() const {
  if (line_.witness && line_.witness->seen() == acquire::CrashSeen::stopped) {
    return fail(Errc::guest_state,
                "the guest panicked, and no panic kernel took over: nothing will come");
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

Result<bool> AwaitedLine::take_caller() {
  TRY_ASSIGN(auto caller, callers_->next());
  if (!caller) {
    return false;
  }
  line_.name = std::move(caller->name);
  line_.fd = std::move(caller->fd);
  return true;
}

Result<> AwaitedLine::await(int cancel) {
  while (true) {
    const milliseconds look_every{line_.witness ? 1'000 : 60'000};
    const milliseconds timeout = wait_.count() == 0 ? look_every : std::min(left(), look_every);
    if (timeout.count() <= 0) {
      return fail(Errc::not_found, "nothing came from the guest within {} s", wait_.count());
    }
    TRY(check_witness());
    const int waited_for = callers_ ? callers_->fd() : line_.fd.get();
    pollfd waits[] = {{waited_for, POLLIN, 0}, {cancel, POLLIN, 0}};
    const int ready = ::poll(waits, 2, static_cast<int>(timeout.count()));
    if (ready < 0 && errno != EINTR) {
      return fail_errno(errno, "poll");
    }
    if (ready > 0 && waits[1].revents != 0) {
      return fail(Errc::cancelled, "interrupted");
    }
    if (ready <= 0) {
      continue;
    }
    TRY_ASSIGN(const bool there, callers_ ? take_caller() : Result<bool>(true));
    if (there) {
      return {};
    }
  }
}

}  // namespace vmcore::job
