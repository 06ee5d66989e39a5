// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/cli/child_run.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "src/base/fd.h"
#include "src/base/sys.h"
#include "src/sandbox/confine_program.h"

namespace vmcore::cli {
namespace {

std::vector<char*> pointers_to(const std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (const std::string& word : words) {
    pointers.push_back(const_cast<char*>(word.c_str()));
  }
  pointers.push_back(nullptr);
  return pointers;
}

// What a user has in its environment may lead it elsewhere, and is nothing to show to a guest.
void clear_environment() {
  const char* const path = std::getenv("PATH");
  const std::string kept = path == nullptr ? "/usr/bin:/bin" : path;
  ::clearenv();
  for (const auto& [name, value] : {std::pair{"PATH", kept.c_str()},
                                    {"HOME", "/tmp"},
                                    {"TERM", "dumb"},
                                    {"LC_ALL", "C.UTF-8"}}) {
    ::setenv(name, value, 1);
  }
}

Result<> give_up_rights(const Command& command) {
  constexpr int kBehindOthers = 10;
  clear_environment();
  if (::nice(kBehindOthers) < 0 || ::chdir("/") != 0) {
    return fail_errno(errno, "a process behind others");
  }
  return sandbox::confine_program(command.reads);
}

// Returns only if it fails.
int exec(const Command& command) {
  for (const std::string& variable : command.environment) {
    const std::size_t sign = variable.find('=');
    ::setenv(variable.substr(0, sign).c_str(), variable.substr(sign + 1).c_str(), 1);
  }
  ::signal(SIGPIPE, SIG_DFL);  // run_program() ignores these
  ::signal(SIGXFSZ, SIG_DFL);
  ::execvp(command.words.front().c_str(), pointers_to(command.words).data());
  return kExecFailed;
}

int exec_within(const Command& command, int input, int output, const Limits& limits) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::setsid();  // what it starts is killed with it
  ::dup2(input, STDIN_FILENO);
  ::dup2(output, STDOUT_FILENO);
  ::dup2(output, STDERR_FILENO);
  if (limits.memory != 0) {
    const rlimit most{limits.memory, limits.memory};
    ::setrlimit(RLIMIT_DATA, &most);
  }
  ::signal(SIGINT, SIG_DFL);
  ::signal(SIGTERM, SIG_DFL);
  if (const Result<> confined = limits.confined ? give_up_rights(command) : Result<>(); !confined) {
    fmt::print(stderr, "{}\n", confined.error().message);
    return kNotConfined;
  }
  return exec(command);
}

}  // namespace

Result<ChildRun> ChildRun::start(const Command& command, int output, const Limits& limits) {
  TRY_ASSIGN(const Fd input, make_memory_file("input"));
  TRY(sys::write_full(input.get(), std::as_bytes(std::span(command.input))));
  ::lseek(input.get(), 0, SEEK_SET);
  TRY_ASSIGN(Process process,
             Process::start([&] { return exec_within(command, input.get(), output, limits); }));
  return ChildRun(std::move(process), limits);
}

Result<std::optional<ChildRun::Ended>> ChildRun::wait_for(std::chrono::milliseconds patience) {
  const pid_t pid = process_.pid();
  TRY_ASSIGN(const std::optional<int> status, process_.wait_for(patience));
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begin_);
  if (status) {
    return Ended{*status, timed_out_, took};
  }
  if (limits_.time.count() != 0 && took > limits_.time && !timed_out_) {
    timed_out_ = true;
    ::kill(-pid, SIGKILL);
  }
  return std::nullopt;
}

Error become(const Command& command, bool confined) {
  if (const Result<> done = confined ? give_up_rights(command) : Result<>(); !done) {
    return done.error();
  }
  exec(command);
  return {Errc::not_found, fmt::format("{} cannot be run: {}", command.words.front(),
                                       fail_errno(errno, "exec").value().message)};
}

Result<std::string> output_of(const Command& command) {
  TRY_ASSIGN(const Fd file, make_memory_file("output"));
  TRY_ASSIGN(ChildRun run,
             ChildRun::start(command, file.get(), {.time = std::chrono::seconds(10)}));
  std::optional<ChildRun::Ended> ended;
  while (!ended) {
    TRY_ASSIGN(ended, run.wait_for(std::chrono::milliseconds(100)));
  }
  if (!WIFEXITED(ended->status) || WEXITSTATUS(ended->status) != 0) {
    return fail(Errc::io, "{}: {}", command.words.front(), ending(ended->status));
  }
  TRY_ASSIGN(const std::uint64_t size, sys::file_size(file.get()));
  std::string text(std::min<std::uint64_t>(size, 64 << 10), '\0');
  TRY(sys::pread_full(file.get(), std::as_writable_bytes(std::span(text)), 0));
  return text;
}

}  // namespace vmcore::cli
