// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/init/console.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>

namespace vmcore::guest::init {

void Console::say(std::string_view line) {
  constexpr int kPatience = 1000;  // milliseconds
  const std::string text = fmt::format("vmcore-guest: {}\n", line);
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t written = ::write(fd_, text.data() + done, text.size() - done);
    if (written > 0) {
      done += static_cast<std::size_t>(written);
      continue;
    }
    if (errno != EAGAIN || !patient_) {
      return;
    }
    pollfd ready{fd_, POLLOUT, 0};
    patient_ = ::poll(&ready, 1, kPatience) > 0;
  }
}

}  // namespace vmcore::guest::init
