// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/cli/progress.h"

#include <unistd.h>

#include <cstdio>
#include <variant>

#include "src/cli/dump_options.h"
#include "src/image/page.h"

namespace vmcore::cli {

ProgressLine::ProgressLine(bool quiet) : shown_(!quiet && ::isatty(STDERR_FILENO) != 0) {}

ProgressLine::~ProgressLine() {
  if (drawn_) {
    std::fputs("\r\033[K", stderr);
  }
}

job::OnProgress ProgressLine::callback() {
  return [this](const sandbox::Event& event) { show(event); };
}

void ProgressLine::show(const sandbox::Event& event) {
  if (!shown_) {
    return;
  }
  if (const auto* progress = std::get_if<sandbox::Progress>(&event); progress && progress->all) {
    fmt::print(stderr, "\r\033[K{:3} % of {} written", progress->done * 100 / progress->all,
               human_size(progress->all * kPageSize));
    drawn_ = true;
  } else if (const auto* spooling = std::get_if<sandbox::Spooling>(&event)) {
    fmt::print(stderr, "\r\033[K{} received", human_size(spooling->bytes));
    drawn_ = true;
  }
  std::fflush(stderr);
}

}  // namespace vmcore::cli
