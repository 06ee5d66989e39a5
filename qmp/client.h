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
  // Names of the events of which take_recorded() has a copy, whether they are kept or not.
  std::vector<std::string> recorded = {};
};

class Client {
 public:
  // Waits for the greeting and makes the monitor ready for commands. Errc::busy if no greeting
  // arrives, Errc::not_recognised for the other kinds of sockets that QEMU has.
  static Result<Client> open(Fd socket, ClientOptions options = {});

  // Takes over a monitor that another process opened, and gave away after settle(). Both may hold
  // the socket, but only one of them may use it at a time.
  static Client adopt(Fd socket, ClientOptions options = {});
  // For a monitor of a process that died: QEMU may hold the beginning of a command from it.
  void forget_commands() { half_sent_ = true; }
  // Reads until no message is received in part, so that another process can use the socket next.
  // What came is kept as always. Errc::busy if the rest of a message does not arrive in time, or if
  // QEMU has the beginning of a command.
  Result<> settle(Milliseconds timeout);

  // Runs a command and returns its "return" value. A refusal by QEMU is Errc::io (Errc::unsupported
  // for an unknown command) with QEMU's text. Errc::busy if no answer arrives in time;
  // Errc::not_found if QEMU closed the connection. `fd`, if any, is sent with the command (getfd).
  Result<Json> execute(std::string_view command, const Json& arguments = Json::object(),
                       std::optional<Milliseconds> timeout = {}, int fd = -1);
  // How long QEMU may take where execute() is not told; kCommandTimeout at first.
  void set_patience(Milliseconds patience) { patience_ = patience; }

  // The earliest kept event of that name, which is then removed; waits for it if necessary.
  Result<Event> wait_event(std::string_view name, Milliseconds timeout);
  // The same, without waiting.
  Result<std::optional<Event>> take_event(std::string_view name);
  // The earliest kept event of any name, without waiting. If the connection is lost, events that
  // came before are returned first.
  Result<std::optional<Event>> next_event();
  // The recorded events since the last call, including those that other calls have taken or
  // dropped.
  std::vector<Event> take_recorded();
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
        events_(std::move(options.events)),
        recorded_(std::move(options.recorded)) {}

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
  // Receives everything that waits to be received.
  Result<> hear_all();
  // True if the message answers command number id_.
  Result<bool> is_answer(const Json& message) const;

  Fd socket_;
  Milliseconds greeting_;
  Milliseconds patience_ = kCommandTimeout;
  MessageSplitter splitter_;
  KeptEvents events_;
  KeptEvents recorded_;
  std::uint64_t id_ = 0;
  std::optional<Json> answer_;
  bool shared_ = false;     // another process uses the socket as well, at other times
  bool half_sent_ = false;  // QEMU holds the beginning of a command that will not end
};

}  // namespace vmcore::qmp
