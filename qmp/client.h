// SPDX-License-Identifier: GPL-2.0-or-later
// Client: one conversation with QEMU's monitor (QMP) over a connected socket. Strict: anything
// unexpected ends it with an Error. Not thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "qmp/kept_events.h"
#include "qmp/message.h"
#include "src/base/fd.h"
#include "src/base/result.h"

namespace vmcore::qmp {

using Milliseconds = std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

// How long QEMU may take to answer a command. A busy host, or a dump to a slow disk, can delay its
// main loop by seconds.
inline constexpr Milliseconds kCommandTimeout{30'000};
inline constexpr Milliseconds kGreetingTimeout{3'000};

struct ClientOptions {
  Milliseconds greeting = kGreetingTimeout;
  // Names of the events that are kept; others are dropped as they come.
  std::vector<std::string> events;
};

class Client {
 public:
  // Waits for the greeting and makes the monitor ready for commands. Errc::busy if no greeting
  // arrives, Errc::not_recognised for the other kinds of sockets that QEMU has.
  static Result<Client> open(Fd socket, ClientOptions options = {});

  // Runs a command and returns its "return" value. A refusal by QEMU is Errc::io (Errc::unsupported
  // for an unknown command) with QEMU's text. Errc::busy if no answer arrives in time;
  // Errc::not_found if QEMU closed the connection. `fd`, if any, is sent with the command (getfd).
  Result<Json> execute(std::string_view command, const Json& arguments = Json::object(),
                       Milliseconds timeout = kCommandTimeout, int fd = -1);

  // The earliest kept event of that name, which is then removed; waits for it if necessary.
  Result<Event> wait_event(std::string_view name, Milliseconds timeout);
  // The same, without waiting.
  Result<std::optional<Event>> take_event(std::string_view name);
  // Forgets all kept events, and everything that waits to be received.
  Result<> drop_events();
  // The socket, for callers that ask who is behind it.
  int fd() const { return socket_.get(); }
  // Waits until QEMU closes the connection, as it does when it ends.
  Result<> wait_closed(Milliseconds timeout);

 private:
  Client(Fd socket, ClientOptions options)
      : socket_(std::move(socket)),
        greeting_(options.greeting),
        events_(std::move(options.events)) {}

  Result<> greet();
  Result<> send(std::string_view text, int fd, Clock::time_point deadline);
  // Reads once; false if nothing arrived before the deadline.
  Result<bool> receive(Clock::time_point deadline);
  // The next whole message, or nothing at the deadline.
  Result<std::optional<Json>> next_message(Clock::time_point deadline);
  // Receives one message, if one arrives before the deadline: events are kept, and the answer to
  // command number id_ becomes answer_. A stream of events without end does not block the caller:
  // `patience` counts messages down, and ends with Errc::limit.
  Result<bool> hear(Clock::time_point deadline, std::size_t& patience);
  // True if the message answers command number id_.
  Result<bool> is_answer(const Json& message) const;

  Fd socket_;
  Milliseconds greeting_;
  MessageSplitter splitter_;
  KeptEvents events_;
  std::uint64_t id_ = 0;
  std::optional<Json> answer_;
  bool half_sent_ = false;  // QEMU holds the beginning of a command that will not end
};

}  // namespace vmcore::qmp
