// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/base/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "src/base/fd.h"

namespace vmcore {

Result<Process> Process::start(const std::function<int()>& child) {
  const pid_t pid = ::fork();
  if (pid < 0) {
    return fail_errno(errno, "fork");
  }
  if (pid == 0) {
    ::_exit(child());
  }
  return Process(pid);
}

Process& Process::operator=(Process&& other) noexcept {
  std::swap(pid_, other.pid_);
  return *this;
}

Process::~Process() { end(); }

bool Process::end() {
  constexpr std::chrono::milliseconds kPatience(2'000);
  kill();
  const auto ended = pid_ > 0 ? wait_for(kPatience) : Result<std::optional<int>>(0);
  const bool lives = ended && !*ended;
  pid_ = -1;
  return !lives;
}

void Process::kill() const {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
  }
}

Result<std::optional<int>> Process::reap(int flags) {
  if (pid_ < 0) {
    return fail_errno(ECHILD, "waitpid");  // -1 would be any child
  }
  int status = 0;
  pid_t reaped = -1;
  while ((reaped = ::waitpid(pid_, &status, flags)) < 0 && errno == EINTR) {
  }
  if (reaped < 0) {
    pid_ = -1;
    return fail_errno(errno, "waitpid");
  }
  if (reaped == 0) {
    return std::nullopt;
  }
  pid_ = -1;
  return status;
}

Result<int> Process::wait() {
  TRY_ASSIGN(const std::optional<int> status, reap(0));
  return *status;
}

Result<std::optional<int>> Process::wait_for(std::chrono::milliseconds patience) {
  using std::chrono::milliseconds;
  const auto until = std::chrono::steady_clock::now() + patience;
  const Fd ended(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  int ready = 0;
  do {
    const auto left = std::chrono::ceil<milliseconds>(until - std::chrono::steady_clock::now());
    pollfd wait{ended.get(), POLLIN, 0};
    ready = ended ? ::poll(&wait, 1, static_cast<int>(std::max(left, milliseconds(0)).count())) : 0;
  } while (ready < 0 && errno == EINTR);
  return reap(WNOHANG);
}

Result<Fd> open_pidfd(pid_t pid) {
  Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0U)));
  if (pidfd) {
    return pidfd;
  }
  const int error = errno;
  if (error == ESRCH) {
    return fail(Errc::not_found, "process {} has ended", pid);
  }
  return error == ENOSYS ? fail(Errc::unsupported, "this kernel has no pidfds (before Linux 5.3)")
                         : fail_errno(error, fmt::format("pidfd_open of process {}", pid));
}

void kill_process(const Fd& pidfd) {
  ::syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0U);
}

void be_killed_first() {
  constexpr char kMost[] = "1000";
  const int score = ::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (score >= 0) {
    static_cast<void>(::write(score, kMost, sizeof kMost - 1) + 1);
    ::close(score);
  }
}

std::string ending(int status) {
  if (WIFEXITED(status)) {
    return fmt::format("exit status {}", WEXITSTATUS(status));
  }
  return fmt::format("killed by signal {} ({})", WTERMSIG(status), ::strsignal(WTERMSIG(status)));
}

}  // namespace vmcore
