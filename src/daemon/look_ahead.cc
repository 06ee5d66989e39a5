// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/daemon/look_ahead.h"

#include <algorithm>
#include <utility>

namespace vmcore::daemon {
namespace {

constexpr std::chrono::seconds kLimit{60};

JobCommand command_for(const GuestId& guest) {
  return {.words = {"info", "--output", "json", "--ends-with-stdin"},
          .guest = {.words = {"-c", guest.from, guest.uuid}},
          .reports = false};
}

}  // namespace

void LookAhead::add(const GuestId& guest) {
  if (std::ranges::find(waiting_, guest) != waiting_.end()) {
    return;
  }
  waiting_.push_back(guest);
  loop_.after(delay_, [this, guest] {
    std::erase(waiting_, guest);
    if (std::ranges::find(due_, guest) == due_.end()) {
      due_.push_back(guest);
    }
    start_next();
  });
}

void LookAhead::start_next() {
  while (!job_ && !due_.empty()) {
    const GuestId guest = std::move(due_.front());
    due_.pop_front();
    if (!wanted_(guest)) {
      continue;
    }
    auto started = JobProcess::start(loop_, program_, command_for(guest),
                                     {.on_text = [](std::string_view) {},
                                      .on_end =
                                          [this](const JobExit&) {
                                            const auto job = std::move(job_);  // ends with this
                                            start_next();
                                          }});
    if (started) {
      job_ = *std::move(started);
      job_->set_limit(kLimit);
    }
  }
}

}  // namespace vmcore::daemon
