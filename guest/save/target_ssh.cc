// SPDX-License-Identifier: GPL-2.0-or-later
// ssh: sends to another machine with the OpenSSH client and a key in the image. known_hosts must
// contain the key of that machine. The exit status of the command there decides whether the dump is
// saved.
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <thread>

#include "guest/config/capture_image.h"
#include "guest/save/network.h"
#include "guest/save/target_stream.h"
#include "src/base/pipe.h"
#include "src/base/sys.h"

namespace vmcore::guest::save {
namespace {

// The output of the client and the command is kept in memory, which is scarce.
constexpr rlim_t kMostWords = 64U << 10;
// Exit status of `vmcorectl receive`: it kept the dump, but it is incomplete or has more than the
// level asks for.
constexpr int kNotAsAsked = 3;
// How long the command may run after it has read everything, and how long the client may take to
// report an error.
constexpr std::chrono::seconds kCommandWait{3600};
constexpr std::chrono::seconds kErrorWait{10};

std::vector<std::string> client_words(const config::SshDestination& to,
                                      const config::SshConfig& ssh) {
  return {ssh.client, "-F",
          "none",     "-T",
          "-i",       ssh.key,
          "-p",       std::to_string(to.endpoint.port),
          "-o",       "BatchMode=yes",
          "-o",       "IdentitiesOnly=yes",
          "-o",       "StrictHostKeyChecking=yes",
          "-o",       "UserKnownHostsFile=" + ssh.known_hosts,
          "-o",       "ConnectTimeout=30",
          "-o",       "ServerAliveInterval=15",
          "-l",       to.user,
          "--",       config::format_address(to.endpoint.address),
          ssh.command};
}

// The client process, which sends its input.
class Client {
 public:
  static Result<Client> start(const std::vector<std::string>& words);
  Client(Client&& other) noexcept
      : pid_(std::exchange(other.pid_, -1)),
        input_(std::move(other.input_)),
        said_(std::move(other.said_)) {}
  Client& operator=(Client&&) = delete;
  ~Client() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
    }
  }

  Fd take_input() { return std::move(input_); }
  // Waits for its end and returns its status as waitpid(2) does. Kills it after `patience`.
  Result<int> wait(std::chrono::seconds patience, const Heartbeat& heartbeat);
  // The output of the client and the command, by lines.
  std::vector<std::string> said() const;

 private:
  Client() = default;
  pid_t pid_ = -1;
  Fd input_;
  Fd said_;
};

Result<Client> Client::start(const std::vector<std::string>& words) {
  TRY_ASSIGN(Pipe input, make_pipe());
  Client client;
  client.input_ = std::move(input.in);
  TRY_ASSIGN(client.said_, make_memory_file("ssh"));
  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (const std::string& word : words) {
    arguments.push_back(const_cast<char*>(word.c_str()));  // execve(2) does not write to them
  }
  arguments.push_back(nullptr);
  std::string libraries = fmt::format("LD_LIBRARY_PATH={}", config::kLibraryPath);
  client.pid_ = ::fork();
  if (client.pid_ < 0) {
    return fail_errno(errno, "fork");
  }
  if (client.pid_ == 0) {
    const rlimit most{kMostWords, kMostWords};
    std::signal(SIGXFSZ, SIG_IGN);  // the client may print more than that
    char* environment[] = {libraries.data(), nullptr};
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && ::setrlimit(RLIMIT_FSIZE, &most) == 0 &&
        ::dup2(input.out.get(), STDIN_FILENO) >= 0 &&
        ::dup2(client.said_.get(), STDOUT_FILENO) >= 0 &&
        ::dup2(client.said_.get(), STDERR_FILENO) >= 0) {
      ::execve(arguments[0], arguments.data(), environment);
    }
    ::_exit(127);
  }
  if (::fcntl(client.input_.get(), F_SETFL, O_NONBLOCK) != 0) {
    return fail_errno(errno, "pipe");
  }
  return client;
}

Result<int> Client::wait(std::chrono::seconds patience, const Heartbeat& heartbeat) {
  int status = 0;
  pid_t ended = 0;
  for (const Clock::time_point until = Clock::now() + patience;
       (ended = ::waitpid(pid_, &status, WNOHANG)) == 0;) {
    if (Clock::now() >= until) {
      ::kill(pid_, SIGKILL);
    }
    heartbeat();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  pid_ = -1;
  return ended < 0 ? fail_errno(errno, "the ssh client") : Result<int>(status);
}

std::vector<std::string> Client::said() const {
  std::string text(kMostWords, '\0');
  text.resize(sys::pread_full(said_.get(), std::as_writable_bytes(std::span(text)), 0).value_or(0));
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find_first_of("\r\n", begin), text.size());
    if (end != begin) {
      lines.push_back(text.substr(begin, end - begin));
    }
    begin = end + 1;
  }
  return lines;
}

Error failure(const config::SshConfig& ssh, int status, const std::vector<std::string>& said) {
  const std::string why = said.empty() ? "no output" : said.back();
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return {
      Errc::io,
      code == 127
          ? fmt::format("{} or the command on the other machine was not found: {}", ssh.client, why)
      : code == 255 ? fmt::format("{}: {}", ssh.client, why)
      : code < 0 ? fmt::format("{} was killed by signal {}: {}", ssh.client, WTERMSIG(status), why)
                 : fmt::format("\"{}\" exited with status {}: {}", ssh.command, code, why)};
}

}  // namespace

Result<Saved> save_to_ssh(const std::string& where, const Crash& crash) {
  const config::SshConfig& ssh = crash.config.ssh;
  TRY(check_key(crash.config));
  TRY_ASSIGN(const config::SshDestination to, config::parse_ssh_destination(where));
  if (crash.config.network) {
    TRY(bring_up(*crash.config.network, crash.heartbeat));
  }
  TRY_ASSIGN(Client client, Client::start(client_words(to, ssh)));
  auto outcome = [&]() -> Result<convert::Outcome> {
    const Line line(client.take_input(), crash.heartbeat);
    return send_stream([&](std::span<const std::byte> frame) { return line.send(frame); }, crash);
  }();
  TRY_ASSIGN(const int status, client.wait(outcome ? kCommandWait : kErrorWait, crash.heartbeat));
  const std::vector<std::string> said = client.said();
  for (const std::string& text : said) {
    crash.say("ssh: " + text);
  }
  const bool not_as_asked = WIFEXITED(status) && WEXITSTATUS(status) == kNotAsAsked;
  if (status != 0 && !not_as_asked) {
    return tl::unexpected(failure(ssh, status, said));
  }
  if (!outcome) {
    return tl::unexpected(std::move(outcome).error());
  }
  outcome->incomplete = outcome->incomplete || not_as_asked;
  return Saved{where + " over SSH", *std::move(outcome)};
}

}  // namespace vmcore::guest::save
