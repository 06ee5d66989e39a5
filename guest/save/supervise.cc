// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/save/supervise.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <thread>

#include "src/base/pipe.h"

namespace vmcore::guest::save {
namespace {

using std::chrono::milliseconds;

enum class Ended : std::uint8_t { by_itself, silent, late };

// Waits until the last write end of the pipe is closed, which happens when the child ends.
Ended watch(int pipe, const Limits& limits) {
  for (;;) {
    Clock::time_point until = Clock::now() + limits.silence;
    const bool late = limits.deadline && *limits.deadline <= until;
    if (late) {
      until = *limits.deadline;
    }
    const auto left = std::chrono::ceil<milliseconds>(until - Clock::now());
    pollfd ready{pipe, POLLIN, 0};
    const int found = ::poll(&ready, 1, static_cast<int>(std::max(left, milliseconds(0)).count()));
    if (found == 0) {
      return late ? Ended::late : Ended::silent;
    }
    std::array<char, 256> heartbeats;
    if (found > 0 && ::read(pipe, heartbeats.data(), heartbeats.size()) == 0) {
      return Ended::by_itself;
    }
  }
}

// Nothing if the child still exists after a few seconds.
std::optional<int> reap(pid_t child) {
  for (int step = 0; step < 500; ++step) {
    int status = 0;
    if (::waitpid(child, &status, WNOHANG) == child) {
      return status;
    }
    std::this_thread::sleep_for(milliseconds(10));
  }
  return std::nullopt;
}

}  // namespace

void Heartbeat::operator()() const {
  const char heartbeat = 0;
  // Errors are ignored: a full pipe already holds heartbeats, and without a reader nobody needs
  // them.
  [[maybe_unused]] const ssize_t written = ::write(pipe_.get(), &heartbeat, 1);
}

Result<int> supervise(const std::function<int(const Heartbeat&)>& work, const Limits& limits) {
  TRY_ASSIGN(Pipe heartbeats, make_pipe(O_NONBLOCK));
  const pid_t child = ::fork();
  if (child < 0) {
    return fail_errno(errno, "fork");
  }
  if (child == 0) {
    ::_exit(work(Heartbeat(std::move(heartbeats.in))));
  }
  heartbeats.in.reset();
  const Ended ended = watch(heartbeats.out.get(), limits);
  if (ended != Ended::by_itself) {
    ::kill(child, SIGKILL);
  }
  const std::optional<int> status = reap(child);
  if (ended == Ended::silent) {
    return fail(Errc::cancelled, "no progress for {} s", limits.silence.count());
  }
  if (ended == Ended::late) {
    return fail(Errc::cancelled, "the deadline passed");
  }
  if (!status || !WIFEXITED(*status)) {
    return fail(Errc::io, "the process was killed by signal {}", status ? WTERMSIG(*status) : 0);
  }
  return WEXITSTATUS(*status);
}

}  // namespace vmcore::guest::save
