// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/base/process.h"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>

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

Process::~Process() {
  if (pid_ > 0) {
    kill();
    static_cast<void>(wait());
  }
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
  constexpr std::chrono::milliseconds kStep(10);
  const auto until = std::chrono::steady_clock::now() + patience;
  while (true) {
    TRY_ASSIGN(const std::optional<int> status, reap(WNOHANG));
    if (status || std::chrono::steady_clock::now() >= until) {
      return status;
    }
    std::this_thread::sleep_for(std::min(kStep, patience));
  }
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

std::string ending(int status) {
  if (WIFEXITED(status)) {
    return fmt::format("exit status {}", WEXITSTATUS(status));
  }
  return fmt::format("killed by signal {} ({})", WTERMSIG(status), ::strsignal(WTERMSIG(status)));
}

}  // namespace vmcore
