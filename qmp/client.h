// Client: one conversation with QEMU's monitor (QMP) over a connected socket. Strict: whatever does
// not belong into it ends it with an Error. Not thread-safe.
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

// How long QEMU may take to answer a command. Its main loop can be held up for seconds by a busy
// host or a dump to a slow disk.
inline constexpr Milliseconds kCommandTimeout{30'000};
inline constexpr Milliseconds kGreetingTimeout{3'000};

struct ClientOptions {
  Milliseconds greeting = kGreetingTimeout;
  // Names of the events that are kept; others are dropped as they come.
  std::vector<std::string> events;
};

class Client {
 public:
  // Waits for the greeting and makes the monitor ready for commands. Errc::busy where none comes,
  // Errc::not_recognised for the other kinds of sockets that QEMU has.
  static Result<Client> open(Fd socket, ClientOptions options = {});

  // Runs a command; its "return" value. QEMU's own refusal is Errc::io (Errc::unsupported for an
  // unknown command) with QEMU's text. Errc::busy where no answer comes in time; Errc::not_found
  // where QEMU closed the connection. `fd`, if any, goes beside the command (getfd).
  Result<Json> execute(std::string_view command, const Json& arguments = Json::object(),
                       Milliseconds timeout = kCommandTimeout, int fd = -1);

  // The earliest kept event of that name, which is then no longer kept; waits for it where needed.
  Result<Event> wait_event(std::string_view name, Milliseconds timeout);
  // The same, without waiting.
  Result<std::optional<Event>> take_event(std::string_view name);
  // Forgets all that is kept, and what waits to be received.
  Result<> drop_events();
  // The socket, for whoever asks who stands behind it.
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
  // Reads once; false where nothing came before the deadline.
  Result<bool> receive(Clock::time_point deadline);
  // The next whole message, or nothing at the deadline.
  Result<std::optional<Json>> next_message(Clock::time_point deadline);
  // Takes in one message, if one comes before the deadline: events are kept, the answer to command
  // number id_ becomes answer_. Events that never stop do not hold the caller: `patience` counts
  // messages down and at its end it is Errc::limit.
  Result<bool> hear(Clock::time_point deadline, std::size_t& patience);
  // True where the message answers command number id_.
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
