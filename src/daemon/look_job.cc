// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/daemon/look_job.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <nlohmann/json.hpp>
#include <utility>
#include <variant>

#include "src/base/pipe.h"
#include "src/report/job_event.h"

namespace vmcore::daemon {
namespace {

constexpr std::size_t kMostText = 1U << 20;

// In the child: only async-signal-safe calls.
int become(const char* program, char* const* words, const std::vector<int>& fds) {
  for (const int fd : fds) {
    ::fcntl(fd, F_SETFD, 0);
  }
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    ::dup2(null, standard);
  }
  ::execv(program, words);
  return kExecFailed;
}

Result<Process> spawn(const std::string& program, std::vector<std::string> words,
                      const std::vector<int>& fds) {
  words.insert(words.begin(), program);
  std::vector<char*> pointers;
  for (std::string& word : words) {
    pointers.push_back(word.data());
  }
  pointers.push_back(nullptr);
  return Process::start([&] { return become(program.c_str(), pointers.data(), fds); });
}

std::string member(const nlohmann::json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

Result<job::KernelEnding> ending_from(const std::string& report) {
  const auto json = nlohmann::json::parse(report, nullptr, false);
  if (!json.is_object()) {
    return fail(Errc::malformed, "the look has no report");
  }
  if (const auto error = json.find("error"); error != json.end() && error->is_object()) {
    return tl::unexpected(Error{errc_from_name(member(*error, "code")), member(*error, "text")});
  }
  const auto end = job::end_from_name(member(json, "end"));
  if (!end) {
    return fail(Errc::malformed, "the look has an unknown outcome");
  }
  return job::KernelEnding{*end, member(json, "line")};
}

}  // namespace

LookJob::Outcome outcome_of_look(std::string_view lines) {
  LookJob::Outcome outcome{fail(Errc::io, "the look ended without a word"), false};
  while (!lines.empty()) {
    const std::size_t end = std::min(lines.find('\n'), lines.size());
    const auto event = report::job_event_from_line(lines.substr(0, end));
    lines.remove_prefix(std::min(end + 1, lines.size()));
    if (const auto* const last = event ? std::get_if<report::JobEnd>(&*event) : nullptr) {
      outcome.ending = ending_from(last->report);
      outcome.monitor_usable = last->monitor.value_or(false);
    }
  }
  return outcome;
}

Result<std::unique_ptr<LookJob>> LookJob::start(Loop& loop, const std::string& program,
                                                const LentGuest& guest,
                                                std::function<void(Outcome)> done) {
  TRY_ASSIGN(Pipe report, make_pipe(O_NONBLOCK));
  std::vector<std::string> words{"look"};
  words.insert(words.end(), guest.words.begin(), guest.words.end());
  words.insert(words.end(), {"--report-fd", std::to_string(report.in.get())});
  std::vector<int> fds = guest.fds;
  fds.push_back(report.in.get());
  TRY_ASSIGN(Process process, spawn(program, std::move(words), fds));
  return std::unique_ptr<LookJob>(
      new LookJob(loop, std::move(process), std::move(report.out), std::move(done)));
}

LookJob::LookJob(Loop& loop, Process process, Fd report, std::function<void(Outcome)> done)
    : loop_(loop), process_(std::move(process)), report_(std::move(report)), done_(std::move(done)) {
  loop_.watch(report_.get(), [this] { read(); });
  limit_ = loop_.after(kLookLimit, [this] {
    process_.kill();
    finish();
  });
}

LookJob::~LookJob() {
  loop_.cancel(limit_);
  if (report_) {
    loop_.forget(report_.get());
  }
}

void LookJob::read() {
  std::array<char, 16 << 10> buffer;
  const ssize_t got = ::read(report_.get(), buffer.data(), buffer.size());
  if (got > 0 && text_.size() < kMostText) {
    text_.append(buffer.data(), static_cast<std::size_t>(got));
  } else if (got >= 0 || (errno != EAGAIN && errno != EINTR)) {
    finish();
  }
}

// A process that has closed its report ends at once.
void LookJob::finish() {
  loop_.forget(report_.get());
  report_.reset();
  loop_.cancel(std::exchange(limit_, 0));
  const auto done = std::move(done_);
  done(outcome_of_look(text_));
}

}  // namespace vmcore::daemon
