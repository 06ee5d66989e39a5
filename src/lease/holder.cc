// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/lease/holder.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "src/base/own_program.h"
#include "src/base/pipe.h"

namespace vmcore::lease {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kStartTimeout{10'000};
constexpr milliseconds kAnswerTimeout{1'000};

// In the order of their numbers from kControlFd on (terms.h).
constexpr std::size_t kDescriptors = 7;
using Descriptors = std::array<int, kDescriptors>;

// A process, as the holder sees it.
struct Seen {
  Fd pidfd;
  Fd stat;
};

Result<Seen> see(pid_t pid) {
  TRY_ASSIGN(Fd pidfd, open_pidfd(pid));
  Fd stat(::open(fmt::format("/proc/{}/stat", pid).c_str(), O_RDONLY | O_CLOEXEC));
  if (!stat) {  // a /proc with hidepid= hides a worker that gave up being traced
    stat = Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  }
  return Seen{std::move(pidfd), std::move(stat)};
}

Result<std::pair<Fd, Fd>> make_control() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return fail_errno(errno, "socketpair");
  }
  return std::pair(Fd(ends[0]), Fd(ends[1]));
}

// In the child, between fork and exec: only async-signal-safe calls.
int become_holder(const char* path, Descriptors fds, char* const* words) {
  constexpr int kOutOfTheWay = kControlFd + static_cast<int>(kDescriptors);
  for (int& fd : fds) {
    fd = ::fcntl(fd, F_DUPFD, kOutOfTheWay);
  }
  int number = kControlFd;
  for (const int fd : fds) {
    if (::dup2(fd, number++) < 0) {
      return kExecFailed;
    }
  }
  const int null = ::open("/dev/null", O_RDWR);
  for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    ::dup2(null, standard);
  }
  ::close_range(kOutOfTheWay, ~0U, 0);
  ::setsid();  // a terminal stops or kills the processes of a session
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  char* const environment[] = {nullptr};
  ::execve(path, words, environment);
  return kExecFailed;
}

std::string until_text(const Terms& terms) {
  using std::chrono::nanoseconds;
  return std::to_string(
      terms.until ? std::chrono::duration_cast<nanoseconds>(terms.until->time_since_epoch()).count()
                  : 0);
}

// Fewer wake-ups; where the user's pipes may not be that large, the default does.
void widen(const Fd& pipe) { static_cast<void>(::fcntl(pipe.get(), F_SETPIPE_SZ, 1 << 20)); }

}  // namespace

Result<Holder> Holder::start(const Terms& terms) {
  TRY_ASSIGN(const auto program,
             find_own_program("vmcore-holder", "libexec/vmcorectl/vmcore-holder"));
  TRY_ASSIGN(const Seen parent, see(::getpid()));
  TRY_ASSIGN(const Seen worker, see(terms.worker != 0 ? terms.worker : ::getpid()));
  TRY_ASSIGN(auto control, make_control());
  TRY_ASSIGN(Pipe lease, make_pipe());
  TRY_ASSIGN(Pipe relay, make_pipe());
  widen(lease.out);
  if (terms.whole) {
    widen(relay.out);
  }
  std::string until = until_text(terms);
  std::string guarded(1, terms.guarded ? '1' : '0');
  std::string whole(1, terms.whole ? '1' : '0');
  std::string name = "vmcore-holder";
  const std::array<char*, 5> words{name.data(), until.data(), guarded.data(), whole.data(),
                                   nullptr};
  const Descriptors fds{control.second.get(), lease.out.get(),   relay.in.get(),
                        parent.pidfd.get(),   parent.stat.get(), worker.pidfd.get(),
                        worker.stat.get()};
  TRY_ASSIGN(Process process,
             Process::start([&] { return become_holder(program.c_str(), fds, words.data()); }));
  control.second.reset();
  lease.out.reset();
  relay.in.reset();
  Holder holder(std::move(process), std::move(control.first), std::move(lease.in),
                std::move(relay.out), terms.whole);
  if (holder.hear(kStartTimeout) != kReady) {
    return fail(Errc::io, "{} did not start", program.string());
  }
  return holder;
}

Holder::~Holder() {
  if (control_) {
    static_cast<void>(::send(control_.get(), &kGoodbye, 1, MSG_NOSIGNAL | MSG_DONTWAIT));
  }
}

// Nothing at its end of file, or at the timeout.
std::optional<char> Holder::hear(milliseconds patience) const {
  const auto until = std::chrono::steady_clock::now() + patience;
  while (true) {
    const auto left =
        std::chrono::ceil<milliseconds>(until - std::chrono::steady_clock::now()).count();
    pollfd wait{control_.get(), POLLIN, 0};
    const int ready = ::poll(&wait, 1, static_cast<int>(std::max<std::int64_t>(left, 0)));
    char said = 0;
    if (ready > 0) {
      return ::read(control_.get(), &said, 1) == 1 ? std::optional(said) : std::nullopt;
    }
    if (ready == 0 || errno != EINTR) {
      return std::nullopt;
    }
  }
}

std::optional<Ending> Holder::ending() {
  pollfd wait{control_.get(), POLLIN, 0};
  if (!ending_ && ::poll(&wait, 1, 0) > 0) {
    ending_ = static_cast<Ending>(hear(milliseconds(0)).value_or(static_cast<char>(Ending::lost)));
  }
  return ending_;
}

Ending Holder::drop() {
  if (!ending_) {
    static_cast<void>(::send(control_.get(), &kDrop, 1, MSG_NOSIGNAL | MSG_DONTWAIT));
    ending_ = static_cast<Ending>(hear(kAnswerTimeout).value_or(static_cast<char>(Ending::lost)));
    if (ending_ == Ending::lost) {
      process_.kill();
    }
  }
  return *ending_;
}

Result<> Holder::verdict() {
  auto objection = objection_to(drop(), whole_);
  return objection ? Result<>(tl::unexpected(*std::move(objection))) : Result<>();
}

std::optional<Error> objection_to(Ending ending, bool whole) {
  switch (ending) {
    case Ending::held:
      return whole ? std::optional(Error{Errc::truncated, "not all of the guest's memory was read"})
                   : std::nullopt;
    case Ending::ended:
      return whole ? std::nullopt
                   : std::optional(Error{Errc::guest_state,
                                         "QEMU's dump, which paused the guest, ended by itself: "
                                         "the guest may have run meanwhile"});
    case Ending::limit:
      return Error{Errc::limit, "the guest was paused for as long as is allowed"};
    case Ending::died:
      return Error{Errc::io, "vmcore-worker ended while the guest was paused for it"};
    case Ending::stopped:
      return Error{Errc::io,
                   "vmcorectl or vmcore-worker was stopped (by a signal or a debugger) while the "
                   "guest was paused for it: the guest was resumed, and nothing is kept"};
    case Ending::stalled:
      return Error{Errc::io,
                   "nothing happened for 10 s while the guest was paused (does a disk not "
                   "answer?): the guest was resumed, and nothing is kept"};
    case Ending::lost:
      break;
  }
  return Error{Errc::io,
               "vmcore-holder, which keeps the guest paused, was killed or stopped: the guest was "
               "resumed, and nothing is kept"};
}

}  // namespace vmcore::lease
