// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/daemon/guardian_line.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "src/base/own_program.h"
#include "src/base/process.h"
#include "src/guardian/line.h"

namespace vmcore::daemon {
namespace {

// In the child: only async-signal-safe calls. Descriptors first go where nothing else is wanted.
int become_guardian(const char* path, char* const* words, int monitor, int line) {
  if (const pid_t pid = ::fork(); pid != 0) {
    return pid < 0 ? kExecFailed : 0;  // the guardian is an orphan, and not waited for
  }
  ::setsid();
  const int one = ::fcntl(monitor, F_DUPFD, 10);
  const int other = ::fcntl(line, F_DUPFD, 10);
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (one < 0 || other < 0 || ::dup2(one, guardian::kMonitorFd) < 0 ||
      ::dup2(other, guardian::kLineFd) < 0) {
    ::_exit(kExecFailed);
  }
  ::dup2(null, STDIN_FILENO);
  ::dup2(null, STDOUT_FILENO);
  ::close_range(guardian::kLineFd + 1, ~0U, 0);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  char* const environment[] = {nullptr};
  ::execve(path, words, environment);
  ::_exit(kExecFailed);
}

}  // namespace

Result<GuardianLine> GuardianLine::start(const std::filesystem::path& program, int monitor,
                                         const qmp::RunActions& before) {
  if (::access(program.c_str(), X_OK) != 0) {
    return fail_errno(errno, program.string());
  }
  int ends[2] = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) {
    return fail_errno(errno, "the line to vmcore-guardian");
  }
  Fd ours(ends[0]);
  const Fd its(ends[1]);
  ::fcntl(its.get(), F_SETFL, O_RDWR);  // it waits
  std::vector<std::string> words = qmp::words_of(before);
  words.insert(words.begin(), "vmcore-guardian");
  std::vector<char*> pointers;
  for (std::string& word : words) {
    pointers.push_back(word.data());
  }
  pointers.push_back(nullptr);
  TRY_ASSIGN(Process child, Process::start([&] {
               return become_guardian(program.c_str(), pointers.data(), monitor, its.get());
             }));
  TRY_ASSIGN(const int status, child.wait());
  if (status != 0) {
    return fail(Errc::io, "vmcore-guardian was not started ({})", ending(status));
  }
  return GuardianLine(std::move(ours));
}

void GuardianLine::say(char what) {
  if (fd_ && ::send(fd_.get(), &what, 1, MSG_NOSIGNAL) < 0) {
    // It has ended, which its descriptor tells as well.
  }
}

void GuardianLine::end() {
  say(guardian::kDone);
  fd_.reset();
}

Result<std::filesystem::path> guardian_executable() {
  return find_own_program("vmcore-guardian", "libexec/vmcorectl/vmcore-guardian");
}

}  // namespace vmcore::daemon
