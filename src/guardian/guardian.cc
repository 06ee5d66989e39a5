// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/guardian/guardian.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <string>
#include <thread>
#include <utility>

namespace vmcore::guardian {
namespace {

using Clock = std::chrono::steady_clock;

// A monitor that is silent for this time has ended its message.
constexpr int kQuiet = 50;  // milliseconds
constexpr std::chrono::seconds kLongestDrain{2};
constexpr std::chrono::seconds kTryAgain{5};

// What waits to be received, which may begin amid a message.
std::string drain(int monitor) {
  std::string text;
  std::array<char, 16 << 10> buffer;
  const auto deadline = Clock::now() + kLongestDrain;
  pollfd wait{monitor, POLLIN, 0};
  while (Clock::now() < deadline && ::poll(&wait, 1, kQuiet) == 1) {
    const ssize_t got = ::recv(monitor, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got <= 0) {
      break;
    }
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  return text;
}

// vmcored may have died before it received the event, or before it said what it received. A
// needless boot is better than a guest that stays down.
qmp::Wanted wanted_by(char said, const std::string& received) {
  const std::size_t reset = received.rfind("\"guest-reset\"");
  const std::size_t shutdown = received.rfind("\"guest-shutdown\"");
  const bool heard = reset != std::string::npos || shutdown != std::string::npos;
  const bool later =
      shutdown != std::string::npos && (reset == std::string::npos || shutdown > reset);
  return (heard ? later : said == kShutdown) ? qmp::Wanted::shutdown : qmp::Wanted::reset;
}

// No guest stops in the trap any more when the actions are back.
Result<> carry_on(qmp::Client& monitor, char said, qmp::Wanted wanted,
                  const qmp::RunActions& before) {
  TRY(qmp::set_actions(monitor, before));
  TRY_ASSIGN(const std::string status, qmp::status_of(monitor));
  const bool amid_reset = said == kReset && status == qmp::kWasReset;  // vmcored died in it
  return status == qmp::kTrapped || amid_reset
             ? qmp::follow(monitor, qmp::course_of(wanted, before), before)
             : Result<>();
}

}  // namespace

char watch(int line) {
  char said = kNothing;
  while (true) {
    std::array<char, 64> bytes;
    const ssize_t got = ::read(line, bytes.data(), bytes.size());
    if (got > 0) {
      said = bytes.at(static_cast<std::size_t>(got) - 1);
    }
    if (said == kDone || got == 0 || (got < 0 && errno != EINTR)) {
      return said;
    }
  }
}

Result<> take_over(Fd socket, char said, const qmp::RunActions& before) {
  const std::string received = drain(socket.get());
  qmp::Client monitor = qmp::Client::adopt(std::move(socket));
  monitor.forget_commands();
  qmp::RunActions back = before;
  back.panic.clear();
  while (true) {
    Result<> done = said == kLeave ? qmp::set_actions(monitor, back)
                                   : carry_on(monitor, said, wanted_by(said, received), back);
    if (done || done.error().code != Errc::busy) {
      return done;
    }
    std::this_thread::sleep_for(kTryAgain);  // a QEMU that does not answer may do so later
  }
}

}  // namespace vmcore::guardian
