// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/sandbox/worker.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <utility>

#include "src/base/own_program.h"
#include "src/base/pipe.h"
#include "src/base/printable.h"
#include "src/sandbox/confine.h"

namespace vmcore::sandbox {
namespace {

constexpr int kWorkerFd = 3;  // vmcore-worker's own constant; see src/worker/main.cc

// See allow_unconfined_workers().
bool may_be_unconfined = false;

constexpr const char* kOutOfBounds =
    ": it made a system call that its job does not need. The input may be hostile, or this is a "
    "bug "
    "of vmcorectl (docs/SECURITY.md tells how to report it)";

// Of standard error. A pipe holds 64 KiB; what it has no room for is lost.
constexpr std::size_t kMostWords = 2000;

// In the child, between fork and exec: only async-signal-safe calls. `words`: for standard error,
// which must not be the operator's terminal.
int become_worker(const char* path, int channel, int words) {
  be_killed_first();
  ::dup2(words, STDERR_FILENO);
  // From here to exec the number may be ours already; dup2 onto itself would keep close-on-exec.
  if (channel == kWorkerFd) {
    ::fcntl(channel, F_SETFD, 0);
  } else if (::dup2(channel, kWorkerFd) < 0) {
    return kExecFailed;
  }
  const int null = ::open("/dev/null", O_RDWR);
  ::dup2(null, STDIN_FILENO);
  ::dup2(null, STDOUT_FILENO);
  ::close_range(kWorkerFd + 1, ~0U, 0);
  // The terminal's Ctrl-C is for the program that started us: it cancels by closing the channel.
  ::setsid();
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  char* const arguments[] = {
      const_cast<char*>("vmcore-worker"),
      may_be_unconfined ? const_cast<char*>(kAllowUnconfined.data()) : nullptr, nullptr};
  char* const environment[] = {nullptr};
  ::execve(path, arguments, environment);
  return kExecFailed;
}

}  // namespace

void allow_unconfined_workers() { may_be_unconfined = true; }

Result<Worker> Worker::start(const std::filesystem::path& executable) {
  if (::access(executable.c_str(), X_OK) != 0) {
    return fail_errno(errno, executable.string());
  }
  TRY_ASSIGN(auto ends, Channel::make_pair());
  TRY_ASSIGN(Pipe words, make_pipe(O_NONBLOCK));
  TRY_ASSIGN(Process process, Process::start([&] {
               return become_worker(executable.c_str(), ends.second.fd(), words.in.get());
             }));
  return Worker(std::move(process), std::move(ends.first), std::move(words.out));
}

Result<> Worker::request(Request request, std::span<const NamedFd> descriptors) {
  std::vector<int> fds;
  for (const NamedFd& descriptor : descriptors) {
    request.descriptors.emplace_back(descriptor.name);
    fds.push_back(descriptor.fd);
  }
  return send(encode(request), fds);
}

Result<> Worker::answer(std::string_view text, std::span<const int> fds) {
  if (channel_.has_unread()) {
    return fail(Errc::malformed, "worker protocol: the worker asks, and does not read its answers");
  }
  return send(text, fds);
}

Result<> Worker::send(std::string_view text, std::span<const int> fds) {
  if (Result<> sent = channel_.send_at_once(text, fds); !sent) {
    return tl::unexpected(sent.error().code == Errc::cancelled ? describe_death() : sent.error());
  }
  return {};
}

Result<Event> Worker::next_event() {
  Result<Packet> packet = channel_.receive();
  if (!packet) {
    return tl::unexpected(packet.error().code == Errc::cancelled ? describe_death()
                                                                 : packet.error());
  }
  return decode_event(packet->text);
}

Result<> Worker::have(const Have& have, std::span<const int> fds) {
  return answer(encode(have), fds);
}

void Worker::cost(const Cost& cost) { static_cast<void>(channel_.send_at_once(encode(cost), {})); }

Result<> Worker::located(const Located& located, std::span<const int> fds) {
  return answer(encode(located), fds);
}

Error Worker::describe_death() {
  // The channel of a process that ends is closed a moment before the process can be waited for.
  const auto status = process_.wait_for(std::chrono::seconds(1));
  if (!status) {
    return status.error();
  }
  if (!*status) {
    process_.end();
    return {Errc::io, "vmcore-worker closed its channel but did not end, and was killed"};
  }
  if (WIFEXITED(**status)) {
    return {Errc::io,
            fmt::format("vmcore-worker ended unexpectedly ({}){}", ending(**status), last_words())};
  }
  return {Errc::io, fmt::format("vmcore-worker was {}{}{}", ending(**status),
                                WTERMSIG(**status) == SIGSYS ? kOutOfBounds : "", last_words())};
}

std::string Worker::last_words() const {
  std::string text(kMostWords, '\0');
  const ssize_t size = ::read(words_.get(), text.data(), text.size());
  text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  while (text.ends_with('\n')) {
    text.pop_back();
  }
  return text.empty() ? "" : fmt::format(": it said \"{}\"", printable(text));
}

Result<> Worker::end() {
  const pid_t pid = process_.pid();
  if (!process_.end()) {
    return fail(Errc::io,
                "vmcore-worker (process {}) cannot be killed while it waits in the kernel (state "
                "D), mostly for a disk that does not answer: it ends when the disk does answer, "
                "and what it wrote is not kept",
                pid);
  }
  return {};
}

Result<std::filesystem::path> worker_executable() {
  return find_own_program("vmcore-worker", "libexec/vmcorectl/vmcore-worker");
}

}  // namespace vmcore::sandbox
