// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/remote/run.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <span>
#include <utility>

#include "src/base/fd.h"
#include "src/base/pipe.h"
#include "src/base/process.h"
#include "src/base/shell.h"
#include "src/base/sys.h"

namespace vmcore::remote {
namespace {

using Clock = std::chrono::steady_clock;

// Of an interrupted one: its guest has to run again, and it looks whether that is so.
constexpr std::chrono::seconds kTimeToEnd{30};
constexpr std::size_t kMostVersion = 256;
constexpr int kSshFailed = 255;

// One line for the far shell. The version comes first, in the same connection: ssh may ask for a
// password.
std::string far_command(const std::vector<std::string>& words) {
  std::string line = "vmcorectl --version && exec vmcorectl";
  for (const std::string& word : words) {
    line += " " + single_quoted(word);
  }
  return line;
}

class Ssh {
 public:
  static Result<Ssh> start(const RemoteHost& host, const std::string& command, int err);
  Ssh(Ssh&&) = default;
  Ssh& operator=(Ssh&&) = delete;
  ~Ssh() {
    if (process_.pid() > 0) {
      ::kill(process_.pid(), SIGTERM);
      static_cast<void>(wait());
    }
  }

  int output() const { return output_.get(); }
  // The far program is told that its dump was kept. One that is gone hears nothing.
  void tell_kept() const {
    static_cast<void>(sys::write_full(input_.get(), std::as_bytes(std::span("k", 1))));
  }
  // The far program is told to end.
  void end_input() { input_.reset(); }
  // Its exit status; that of a failed connection where it has none.
  int wait() {
    const auto status = process_.wait();
    return status && WIFEXITED(*status) ? WEXITSTATUS(*status) : kSshFailed;
  }

 private:
  Ssh(Process process, Fd input, Fd output)
      : process_(std::move(process)), input_(std::move(input)), output_(std::move(output)) {}

  Process process_;
  Fd input_;
  Fd output_;
};

Result<Ssh> Ssh::start(const RemoteHost& host, const std::string& command, int err) {
  TRY_ASSIGN(Pipe input, make_pipe());
  TRY_ASSIGN(Pipe output, make_pipe());
  std::vector<std::string> words = host.ssh;
  words.push_back(command);
  std::vector<char*> arguments;
  for (std::string& word : words) {
    arguments.push_back(word.data());
  }
  arguments.push_back(nullptr);
  TRY_ASSIGN(Process process, Process::start([&] {
               // The terminal's Ctrl-C is for us alone: the connection is needed for the end.
               std::signal(SIGINT, SIG_IGN);
               std::signal(SIGPIPE, SIG_DFL);
               ::dup2(input.out.get(), STDIN_FILENO);
               ::dup2(output.in.get(), STDOUT_FILENO);
               ::dup2(err, STDERR_FILENO);
               ::execvp(arguments.front(), arguments.data());
               return kExecFailed;
             }));
  return Ssh(std::move(process), std::move(input.in), std::move(output.out));
}

// Passes on what comes behind the first line, which is the version; and not the trailer.
class Output {
 public:
  Output(int out, std::string trailer) : out_(out), trailer_(std::move(trailer)) {}

  Result<> take(std::span<const std::byte> bytes) {
    while (!has_version_ && !bytes.empty()) {
      const char letter = static_cast<char>(bytes.front());
      bytes = bytes.subspan(1);
      has_version_ = letter == '\n';
      if (!has_version_) {
        version_ += letter;
      }
      if (version_.size() > kMostVersion || (has_version_ && !version_.starts_with("vmcorectl "))) {
        return fail(Errc::malformed,
                    "the remote vmcorectl printed this in place of its version: {}", version_);
      }
    }
    if (trailer_.empty()) {
      return sys::write_full(out_, bytes);
    }
    held_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return held_.size() <= trailer_.size() ? Result<>() : pass_on(held_.size() - trailer_.size());
  }
  // Whether the trailer came, and nothing behind it.
  bool is_whole() const { return !trailer_.empty() && held_ == trailer_; }
  // Nothing comes any more; of a dump that is whole this is not called.
  Result<> finish() { return pass_on(held_.size()); }
  const std::string& version() const { return version_; }

 private:
  Result<> pass_on(std::size_t size) {
    TRY(sys::write_full(out_, std::as_bytes(std::span(held_)).first(size)));
    held_.erase(0, size);
    return {};
  }

  int out_;
  std::string trailer_;
  std::string held_;  // what may be the trailer
  bool has_version_ = false;
  std::string version_;
};

// Until its output ends; whether it was interrupted, which gives it time to end.
Result<bool> follow(Ssh& ssh, Output& output, const job::Interrupt& interrupt,
                    const KeepAndTell& dump) {
  std::vector<std::byte> buffer(256U << 10);
  bool asked = false;
  std::array<pollfd, 2> waits{pollfd{ssh.output(), POLLIN, 0}, pollfd{interrupt.fd(), POLLIN, 0}};
  Clock::time_point deadline = Clock::time_point::max();
  while (true) {
    const bool ending = waits[1].fd < 0;
    if (ending && Clock::now() > deadline) {
      return fail(Errc::cancelled, "interrupted; the remote vmcorectl did not exit in time");
    }
    constexpr int kLookEvery = 100;  // milliseconds
    if (::poll(waits.data(), waits.size(), ending ? kLookEvery : -1) < 0 && errno != EINTR) {
      return fail_errno(errno, "poll");
    }
    if (!ending && waits[1].revents != 0) {
      ssh.end_input();
      waits[1].fd = -1;
      deadline = Clock::now() + kTimeToEnd;
    }
    if (waits[0].revents == 0) {
      continue;
    }
    const ssize_t got = ::read(ssh.output(), buffer.data(), buffer.size());
    if (got < 0 && errno != EINTR) {
      return fail_errno(errno, "ssh");
    }
    if (got == 0) {
      if (!asked) {
        TRY(output.finish());
      }
      return ending;
    }
    if (asked && got > 0) {
      return fail(Errc::malformed, "the remote vmcorectl sent data after the end of the dump");
    }
    TRY(output.take(std::span(buffer).first(static_cast<std::size_t>(std::max<ssize_t>(got, 0)))));
    if (output.is_whole() && !std::exchange(asked, true)) {
      if (!ending && dump.keep()) {
        ssh.tell_kept();
      } else {
        ssh.end_input();
      }
    }
  }
}

}  // namespace

Result<RemoteEnd> run_remote(const RemoteHost& host, const std::vector<std::string>& words, int out,
                             int err, const job::Interrupt& interrupt, const KeepAndTell& dump) {
  TRY_ASSIGN(Ssh ssh, Ssh::start(host, far_command(words), err));
  Output output(out, dump.trailer);
  const auto interrupted = follow(ssh, output, interrupt, dump);
  if (!interrupted) {
    return in_context(interrupted.error(), host.name);
  }
  const int code = ssh.wait();
  if (code == kExecFailed) {
    return fail(Errc::not_found,
                "{}: ssh on this host, or vmcorectl on the remote host, was not found: install it "
                "(on the remote host in the PATH of ssh commands)",
                host.name);
  }
  if (code == kSshFailed && *interrupted) {
    return fail(Errc::cancelled, "interrupted");
  }
  if (code == kSshFailed) {
    return fail(Errc::io, "{}: the connection by ssh failed", host.name);
  }
  return RemoteEnd{code, output.version()};
}

}  // namespace vmcore::remote
