#include "src/sandbox/worker.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <utility>

namespace vmcore::sandbox {
namespace {

constexpr int kWorkerFd = 3;  // vmcore-worker's own constant; see src/worker/main.cc

// In the child, between fork and exec: only async-signal-safe calls.
[[noreturn]] void become_worker(const char* path, int channel) {
  // From here to exec the number may be ours already; dup2 onto itself would keep close-on-exec.
  if (channel == kWorkerFd) {
    ::fcntl(channel, F_SETFD, 0);
  } else if (::dup2(channel, kWorkerFd) < 0) {
    ::_exit(127);
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
  char* const arguments[] = {const_cast<char*>("vmcore-worker"), nullptr};
  char* const environment[] = {nullptr};
  ::execve(path, arguments, environment);
  ::_exit(127);
}

// As waitpid, but not ended by signals.
pid_t reap(pid_t pid, int& status, int flags) {
  pid_t reaped = -1;
  while ((reaped = ::waitpid(pid, &status, flags)) < 0 && errno == EINTR) {
  }
  return reaped;
}

// The channel of a process that ends is closed a moment before it can be waited for. 0 where it
// does not end within a second.
pid_t reap_soon(pid_t pid, int& status) {
  constexpr timespec kStep{0, 10'000'000};
  pid_t reaped = 0;
  for (int step = 0; step < 100 && reaped == 0; ++step) {
    reaped = reap(pid, status, WNOHANG);
    if (reaped == 0) {
      ::nanosleep(&kStep, nullptr);
    }
  }
  return reaped;
}

}  // namespace

Result<Worker> Worker::start(const std::filesystem::path& executable) {
  if (::access(executable.c_str(), X_OK) != 0) {
    return fail_errno(errno, executable.string());
  }
  TRY_ASSIGN(auto ends, Channel::make_pair());
  const pid_t pid = ::fork();
  if (pid < 0) {
    return fail_errno(errno, "fork");
  }
  if (pid == 0) {
    become_worker(executable.c_str(), ends.second.fd());
  }
  return Worker(pid, std::move(ends.first));
}

Worker::Worker(Worker&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), channel_(std::move(other.channel_)) {}

Worker::~Worker() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    int status = 0;
    reap(pid_, status, 0);
  }
}

Result<> Worker::request(const Request& request, std::span<const int> fds) {
  return send(encode(request), fds);
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
  return send(encode(have), fds);
}

void Worker::cost(const Cost& cost) { static_cast<void>(channel_.send_at_once(encode(cost), {})); }

Result<> Worker::located(const Located& located, std::span<const int> fds) {
  return send(encode(located), fds);
}

Error Worker::describe_death() {
  int status = 0;
  pid_t reaped = reap_soon(pid_, status);
  const bool lived = reaped == 0;
  if (lived) {
    ::kill(pid_, SIGKILL);
    reaped = reap(pid_, status, 0);
  }
  pid_ = -1;
  if (lived) {
    return {Errc::io, "vmcore-worker closed its channel and did not end: it was killed"};
  }
  if (reaped < 0 || WIFEXITED(status)) {
    return {Errc::io, fmt::format("vmcore-worker ended unexpectedly (exit status {})",
                                  reaped < 0 ? -1 : WEXITSTATUS(status))};
  }
  return {Errc::io, fmt::format("vmcore-worker was killed by signal {} ({})", WTERMSIG(status),
                                ::strsignal(WTERMSIG(status)))};
}

Result<std::filesystem::path> worker_executable() {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) {
    return fail_errno(error.value(), "/proc/self/exe");
  }
  const auto beside = self.parent_path() / "vmcore-worker";
  if (std::filesystem::exists(beside, error)) {
    return beside;
  }
  const auto installed = self.parent_path().parent_path() / "libexec/vmcorectl/vmcore-worker";
  if (std::filesystem::exists(installed, error)) {
    return installed;
  }
  return fail(Errc::not_found, "vmcore-worker is neither {} nor {}: reinstall vmcorectl",
              beside.string(), installed.string());
}

}  // namespace vmcore::sandbox
