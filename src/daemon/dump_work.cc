// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/daemon/dump_work.h"

#include <utility>

#include "src/base/printable.h"
#include "src/daemon/log.h"

namespace vmcore::daemon {
namespace {

constexpr std::size_t kMostWaiting = 1000;
// For the debug information, which is looked for before the program's own limit begins.
constexpr std::chrono::seconds kMore{120};

}  // namespace

void DumpWork::configure(const config::Config& config) {
  store_ = config.store;
  self_check_ = config.self_check;
  scripts_ = config.scripts;
  limit_ = config.script_limit;
}

void DumpWork::add(const std::string& id) {
  if (waiting_.size() >= kMostWaiting) {
    say(Priority::warning, "", fmt::format("{} is not checked: too many dumps wait", id));
    return;
  }
  const auto step = [&](std::string what, const std::vector<std::string>& more) {
    JobCommand command{.words = {"debug", id, "--store", store_.string(), "--time-limit",
                                 fmt::format("{}s", limit_.count())},
                       .guest = {},
                       .reports = false};
    command.words.insert(command.words.end(), more.begin(), more.end());
    waiting_.push_back({std::move(what), std::move(command)});
  };
  if (self_check_) {
    step("the self-check of " + id, {"--self-check"});
  }
  for (const std::filesystem::path& script : scripts_) {
    step(fmt::format("{} over {}", script.string(), id),
         {"--run", script.string(), "--confined", "--results", (store_ / id).string()});
  }
  start_next();
}

void DumpWork::start_next() {
  while (!running_ && !waiting_.empty()) {
    const Step step = std::move(waiting_.front());
    waiting_.pop_front();
    if (const Result<> started = start(step); !started) {
      say(Priority::warning, "", fmt::format("{}: {}", step.what, started.error().message));
    }
  }
}

Result<> DumpWork::start(const Step& step) {
  said_.clear();
  TRY_ASSIGN(running_,
             JobProcess::start(
                 loop_, program_, step.command,
                 {.on_text = [this](std::string_view text) { said_ = text; },
                  .on_end = [this, what = step.what](const JobExit& exit) { end(what, exit); }}));
  // The self-check runs two programs, and crash again where it gave up.
  running_->set_limit(3 * limit_ + kMore);
  return {};
}

void DumpWork::end(const std::string& what, const JobExit& exit) {
  running_.reset();
  if (exit.code == 0) {
    say(Priority::info, "", what + ": done");
  } else {
    say(Priority::warning, "", fmt::format("{}: {}\n{}", what, exit.how, printable_lines(said_)));
  }
  start_next();
}

}  // namespace vmcore::daemon
