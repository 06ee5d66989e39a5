// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/daemon/job_process.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <span>
#include <system_error>
#include <utility>

#include "src/base/own_program.h"
#include "src/base/pipe.h"
#include "src/base/sys.h"
#include "src/report/job_event.h"

namespace vmcore::daemon {
namespace {

using std::chrono::seconds;

// A job needs some time to let its guest run again.
constexpr seconds kTimeToEnd{20};
constexpr seconds kTimeToDie{10};

struct Start {
  std::vector<std::string> words;
  std::vector<int> inherited;
  int input = -1;
  int output = -1;  // its standard output; -1: nothing reads it
};

// In the child, between fork and exec: only async-signal-safe calls.
int become_job(const char* program, char* const* words, const Start& start) {
  // The terminal's Ctrl-C is for the service.
  ::setpgid(0, 0);
  std::signal(SIGPIPE, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  const int null = ::open("/dev/null", O_WRONLY);
  ::dup2(start.input, STDIN_FILENO);
  ::dup2(start.output < 0 ? null : start.output, STDOUT_FILENO);
  for (const int fd : start.inherited) {
    ::fcntl(fd, F_SETFD, 0);
  }
  ::execv(program, words);
  return kExecFailed;
}

Result<Process> spawn(const std::filesystem::path& program, Start start) {
  std::vector<char*> words;
  for (std::string& word : start.words) {
    words.push_back(word.data());
  }
  words.push_back(nullptr);
  return Process::start([&] { return become_job(program.c_str(), words.data(), start); });
}

Result<Fd> memory_file_of(const std::string& text) {
  TRY_ASSIGN(Fd file, make_memory_file("event"));
  TRY(sys::pwrite_full(file.get(), std::as_bytes(std::span(text)), 0));
  return file;
}

void add_fd(Start& start, const char* option, int fd) {
  start.words.insert(start.words.end(), {option, std::to_string(fd)});
  start.inherited.push_back(fd);
}

}  // namespace

Result<std::unique_ptr<JobProcess>> JobProcess::start(Loop& loop,
                                                      const std::filesystem::path& program,
                                                      JobCommand command, Calls calls) {
  std::unique_ptr<JobProcess> job(new JobProcess(loop, std::move(calls)));
  job->reports_ = command.reports;
  TRY_ASSIGN(Pipe input, make_pipe());
  TRY_ASSIGN(Pipe output, make_pipe());
  TRY_ASSIGN(Pipe go, make_pipe());
  TRY_ASSIGN(const Fd event, memory_file_of(command.event));
  Start start{.words = {program.string()}, .inherited = command.guest.fds};
  start.words.insert(start.words.end(), command.words.begin(), command.words.end());
  start.input = input.out.get();
  if (command.reports) {
    add_fd(start, "--report-fd", output.in.get());
  } else {
    start.output = output.in.get();
  }
  if (command.waits) {
    add_fd(start, "--go-fd", go.out.get());
  }
  if (!command.event.empty()) {
    start.words.insert(start.words.end(), {"--event", fmt::format("/dev/fd/{}", event.get())});
    start.inherited.push_back(event.get());
  }
  start.words.insert(start.words.end(), command.guest.words.begin(), command.guest.words.end());
  TRY_ASSIGN(job->process_, spawn(program, std::move(start)));
  TRY_ASSIGN(job->pidfd_, open_pidfd(job->process_.pid()));
  if (::fcntl(output.out.get(), F_SETFL, O_NONBLOCK) != 0) {
    return fail_errno(errno, "the process of a job");
  }
  job->input_ = std::move(input.in);
  job->output_ = std::move(output.out);
  job->go_ = std::move(go.in);
  loop.watch(job->output_.get(), [job = job.get()] { job->read_output(); });
  loop.watch(job->pidfd_.get(), [job = job.get()] { job->on_ended(); });
  return job;
}

JobProcess::~JobProcess() {
  loop_.cancel(limit_);
  loop_.cancel(kill_);
  loop_.forget(output_.get());
  loop_.forget(pidfd_.get());
  if (finishes_) {
    process_.let_go();
  }
}

void JobProcess::go() {
  static_cast<void>(sys::write_full(go_.get(), std::as_bytes(std::span("g", 1))));
  go_.reset();
}

void JobProcess::let_finish() {
  const char word[] = {report::kFinishWord};
  finishes_ = input_ && sys::write_full(input_.get(), std::as_bytes(std::span(word)));
}

void JobProcess::set_limit(seconds limit) {
  loop_.cancel(limit_);
  limit_ = loop_.after(limit, [this] {
    overdue_ = true;
    end();
  });
}

void JobProcess::no_limit() { loop_.cancel(std::exchange(limit_, 0)); }

void JobProcess::end() {
  if (!input_) {
    return;
  }
  no_limit();
  input_.reset();
  go_.reset();
  if (std::exchange(finishes_, false) && process_.pid() > 0) {
    ::kill(process_.pid(), SIGTERM);
  }
  kill_ = loop_.after(kTimeToEnd, [this] { terminate(SIGTERM); });
}

void JobProcess::terminate(int signal) {
  if (process_.pid() > 0) {
    ::kill(process_.pid(), signal);
    kill_ = signal == SIGKILL ? 0 : loop_.after(kTimeToDie, [this] { terminate(SIGKILL); });
  }
}

void JobProcess::read_output() {
  std::array<std::byte, 64U << 10> buffer{};
  ssize_t got = 0;
  while ((got = ::read(output_.get(), buffer.data(), buffer.size())) > 0) {
    text_.append(reinterpret_cast<const char*>(buffer.data()), static_cast<std::size_t>(got));
    if (text_.size() > 2 * report::kMaxJobLine) {
      break;
    }
    if (reports_) {
      take_lines();
    }
  }
  if (text_.size() > report::kMaxJobLine) {  // no job of ours
    text_.clear();
    process_.kill();
  }
  if (got == 0) {
    loop_.forget(output_.get());
  }
}

void JobProcess::take_lines() {
  std::size_t end = 0;
  while ((end = text_.find('\n')) != std::string::npos) {
    const std::string line = text_.substr(0, end);
    text_.erase(0, end + 1);
    calls_.on_text(line);
  }
}

void JobProcess::on_ended() {
  read_output();
  const auto status = process_.wait_for(std::chrono::milliseconds(0));
  if (status && !*status) {
    return;
  }
  JobExit exit{.how = status ? ending(**status) : status.error().message, .overdue = overdue_};
  exit.code = status && WIFEXITED(**status) ? WEXITSTATUS(**status) : -1;
  if (overdue_) {
    exit.how = "ended because its time was over";
  }
  loop_.forget(pidfd_.get());
  if (!reports_) {
    calls_.on_text(text_);
  }
  const auto on_end = calls_.on_end;
  on_end(exit);
}

Result<std::filesystem::path> vmcorectl_executable() {
  return find_own_program("vmcorectl", "bin/vmcorectl");
}

}  // namespace vmcore::daemon
