// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/cli/progress.h"

#include <unistd.h>

#include <condition_variable>
#include <cstdio>
#include <variant>

#include "src/base/printable.h"
#include "src/base/start_thread.h"
#include "src/base/units.h"
#include "src/image/page.h"

namespace vmcore::cli {
namespace {

using Seconds = std::chrono::duration<double>;
constexpr std::chrono::milliseconds kDrawEvery{200};

}  // namespace

void ProgressText::paused(std::string guest, Time now) {
  paused_ = std::move(guest);
  paused_since_ = now;
}

void ProgressText::take(const sandbox::Event& event, Time now) {
  if (const auto* progress = std::get_if<sandbox::Progress>(&event); progress && progress->all) {
    begun_ = all_ == 0 ? now : begun_;
    done_ = progress->done * kPageSize;
    all_ = progress->all * kPageSize;
  } else if (const auto* spooling = std::get_if<sandbox::Spooling>(&event)) {
    begun_ = begun_.value_or(now);
    done_ = spooling->bytes;
    all_ = 0;
  }
}

std::string ProgressText::amount(Time now) const {
  if (!begun_) {
    return "";
  }
  std::string text =
      all_ != 0 ? fmt::format("{} % of {} read", done_ * 100 / all_, human_size(all_))
      : stream_bytes_ != 0
          ? fmt::format("{} of {} {}", human_size(done_), human_size(stream_bytes_), verb_)
          : fmt::format("{} {}", human_size(done_), verb_);
  if (const double time = Seconds(now - *begun_).count(); time > 0 && done_ != 0) {
    text += fmt::format(", {}/s",
                        human_size(static_cast<std::uint64_t>(static_cast<double>(done_) / time)));
  }
  return text;
}

std::string ProgressText::text(Time now) const {
  std::string text;
  if (!paused_.empty()) {
    text = fmt::format("{} paused {:.1f} s", paused_, Seconds(now - paused_since_).count());
  }
  const std::string amount = this->amount(now);
  return text + (text.empty() || amount.empty() ? "" : ", ") + amount;
}

ProgressLine::ProgressLine(bool quiet, std::string verb)
    : shown_(!quiet && ::isatty(STDERR_FILENO) != 0), text_(std::move(verb)) {}

ProgressLine::~ProgressLine() {
  runs();
  if (drawn_) {
    std::fputs("\r\033[K", stderr);
  }
}

job::OnProgress ProgressLine::callback() {
  return [this](const sandbox::Event& event) {
    const std::lock_guard lock(mutex_);
    text_.take(event, std::chrono::steady_clock::now());
    draw();
  };
}

void ProgressLine::expect(std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  text_.expect(bytes);
}

void ProgressLine::paused(const std::string& guest) {
  {
    const std::lock_guard lock(mutex_);
    text_.paused(guest, std::chrono::steady_clock::now());
    draw();
  }
  if (!shown_) {
    return;
  }
  // Without the thread the line is drawn when something happens.
  auto clock = start_thread<std::jthread>([this](const std::stop_token& stop) {
    std::condition_variable_any over;
    std::unique_lock lock(mutex_);
    while (!over.wait_for(lock, stop, kDrawEvery, [&] { return stop.stop_requested(); })) {
      draw();
    }
  });
  if (clock) {
    clock_ = *std::move(clock);
  }
}

void ProgressLine::runs() {
  clock_ = std::jthread();  // ends it
  const std::lock_guard lock(mutex_);
  text_.runs();
  draw();
}

void ProgressLine::draw() {
  const std::string text = text_.text(std::chrono::steady_clock::now());
  if (!shown_ || (text.empty() && !drawn_)) {
    return;
  }
  fmt::print(stderr, "\r\033[K{}", printable(text));
  std::fflush(stderr);
  drawn_ = true;
}

}  // namespace vmcore::cli
