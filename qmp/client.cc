// SPDX-License-Identifier: GPL-2.0-or-later
#include "qmp/client.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace vmcore::qmp {
namespace {

// Messages that may pass while one thing is waited for.
constexpr std::size_t kPatience = 1U << 16;

// Of a command's number; the bits above name the process that sent it, where several share a
// monitor.
constexpr unsigned kSerialBits = 32;

// Rounded up, so that a deadline has passed when a wait for it ends.
int milliseconds_until(Clock::time_point deadline) {
  const auto left = std::chrono::ceil<Milliseconds>(deadline - Clock::now());
  return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 3'600'000));
}

// False at the deadline.
Result<bool> wait_for(int socket, short what, Clock::time_point deadline) {
  while (true) {
    pollfd wait{socket, what, 0};
    const int ready = ::poll(&wait, 1, milliseconds_until(deadline));
    if (ready > 0) {
      return true;
    }
    if (ready < 0 && errno != EINTR) {
      return fail_errno(errno, "poll");
    }
    if (Clock::now() >= deadline) {
      return false;
    }
  }
}

ssize_t send_with_fd(int socket, std::string_view text, int fd) {
  struct alignas(cmsghdr) {
    char bytes[CMSG_SPACE(sizeof(int))] = {};
  } control;
  iovec part{const_cast<char*>(text.data()), text.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (fd >= 0) {
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &fd, sizeof(int));
  }
  return ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

tl::unexpected<Error> gone() {
  return fail(Errc::not_found, "QEMU closed the connection to its monitor: it has ended");
}

tl::unexpected<Error> refusal(std::string_view command, const Json& error) {
  const std::string text = text_member(error, "desc").value_or("an error without a description");
  const bool unknown = text_member(error, "class") == "CommandNotFound";
  return fail(unknown ? Errc::unsupported : Errc::io, "{}: {}", command, text);
}

// What speaks first and is not QMP.
Error other_kind(std::string_view start) {
  if (start.find("QEMU") != std::string_view::npos ||
      start.find("(qemu)") != std::string_view::npos) {
    return {Errc::not_recognised,
            "a monitor for people (HMP), not QMP: give a socket of -qmp or -mon mode=control"};
  }
  return {Errc::not_recognised, "the program behind the socket does not speak QMP"};
}

}  // namespace

Result<Client> Client::open(Fd socket, ClientOptions options) {
  Client client(std::move(socket), std::move(options));
  TRY(client.greet());
  TRY(client.execute("qmp_capabilities"));
  return client;
}

// The numbers of its commands are like no other process's.
Client Client::adopt(Fd socket, ClientOptions options) {
  Client client(std::move(socket), std::move(options));
  client.shared_ = true;
  client.id_ = static_cast<std::uint64_t>(::getpid()) << kSerialBits;
  return client;
}

Result<> Client::settle(Milliseconds timeout) {
  shared_ = true;
  if (half_sent_) {
    return fail(Errc::busy, "QEMU's monitor has received only a part of a command");
  }
  const auto deadline = Clock::now() + timeout;
  std::size_t patience = kPatience;
  TRY(hear_all());
  while (splitter_.is_amid()) {
    TRY_ASSIGN(const bool heard, hear(deadline, patience));
    if (!heard) {
      return fail(Errc::busy, "QEMU's monitor does not finish a message");
    }
    TRY(hear_all());
  }
  return {};
}

Result<> Client::greet() {
  auto message = next_message(Clock::now() + greeting_);
  if (!message) {
    return tl::unexpected(message.error().code == Errc::not_recognised
                              ? other_kind(splitter_.pending())
                              : message.error());
  }
  if (!*message) {
    // HMP greets in one piece, but JSON that has no end is no greeting either.
    return fail(Errc::busy,
                "no greeting within {} ms: a QMP socket serves one client at a time, and another "
                "client holds it",
                greeting_.count());
  }
  const Json& greeting = **message;
  if (!greeting.contains("QMP")) {
    const bool agent = greeting.contains("return") || greeting.contains("error");
    return fail(Errc::not_recognised, "{}, not QMP: give a socket of -qmp or -mon mode=control",
                agent ? "the guest agent's socket" : "a server that speaks JSON");
  }
  return {};
}

Result<> Client::send(std::string_view text, int fd, Clock::time_point deadline) {
  while (!text.empty()) {
    TRY_ASSIGN(const bool ready, wait_for(socket_.get(), POLLOUT, deadline));
    if (!ready) {
      half_sent_ = true;
      return fail(Errc::busy, "QEMU's monitor does not accept commands");
    }
    const ssize_t sent = send_with_fd(socket_.get(), text, fd);
    if (sent > 0) {
      text.remove_prefix(static_cast<std::size_t>(sent));
      fd = -1;  // it went with the first byte
    } else if (errno == EPIPE || errno == ECONNRESET) {
      return gone();
    } else if (errno != EINTR && errno != EAGAIN) {
      return fail_errno(errno, "QEMU's monitor: send");
    }
  }
  return {};
}

Result<bool> Client::receive(Clock::time_point deadline) {
  std::array<char, 16 << 10> buffer;
  while (true) {
    TRY_ASSIGN(const bool ready, wait_for(socket_.get(), POLLIN, deadline));
    if (!ready) {
      return false;
    }
    const ssize_t got = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got > 0) {
      splitter_.feed({buffer.data(), static_cast<std::size_t>(got)});
      return true;
    }
    if (got == 0 || errno == ECONNRESET) {
      return gone();
    }
    if (errno != EINTR && errno != EAGAIN) {
      return fail_errno(errno, "QEMU's monitor: receive");
    }
  }
}

Result<std::optional<Json>> Client::next_message(Clock::time_point deadline) {
  while (true) {
    TRY_ASSIGN(const auto text, splitter_.next());
    if (text) {
      TRY_ASSIGN(Json message, parse_object(*text));
      return message;
    }
    TRY_ASSIGN(const bool received, receive(deadline));
    if (!received) {
      return std::nullopt;
    }
  }
}

Result<bool> Client::is_answer(const Json& message) const {
  if (!message.contains("return") && !message.contains("error")) {
    return fail(Errc::malformed, "QEMU's monitor sent neither an event nor an answer");
  }
  const auto id = number_member(message, "id");
  if (!id) {
    // What QEMU says of the rest of a command that was cut short.
    if (message.contains("error") && !message.contains("id")) {
      return false;
    }
    return fail(Errc::malformed, "QEMU's monitor sent an answer without a command");
  }
  if (shared_ && *id >> kSerialBits != id_ >> kSerialBits) {
    return false;  // to a command that another process gave up on
  }
  if (*id > id_) {
    return fail(Errc::malformed, "QEMU's monitor answered command {}, which was not sent", *id);
  }
  return *id == id_;  // a lower one was given up on
}

Result<bool> Client::hear(Clock::time_point deadline, std::size_t& patience) {
  TRY_ASSIGN(const std::optional<Json> message, next_message(deadline));
  if (!message) {
    return false;
  }
  if (patience-- == 0) {
    return fail(Errc::limit, "QEMU's monitor sends without end");
  }
  if (message->contains("event")) {
    TRY(events_.keep(*message));
    TRY(recorded_.keep(*message));
    return true;
  }
  TRY_ASSIGN(const bool ours, is_answer(*message));
  if (ours) {
    answer_ = *message;
  }
  return true;
}

Result<Json> Client::execute(std::string_view command, const Json& arguments,
                             std::optional<Milliseconds> most, int fd) {
  const Milliseconds timeout = most.value_or(patience_);
  const auto deadline = Clock::now() + timeout;
  Json message{{"execute", command}, {"id", ++id_}};
  if (!arguments.empty()) {
    message["arguments"] = arguments;
  }
  std::string text = message.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  if (std::exchange(half_sent_, false)) {
    text.insert(text.begin(), '\xFF');  // QEMU's parser forgets what it has
  }
  if (Result<> sent = send(text, fd, deadline); !sent) {
    return in_context(std::move(sent).error(), command);
  }
  answer_.reset();
  std::size_t patience = kPatience;
  while (!answer_) {
    const auto heard = hear(deadline, patience);
    if (!heard) {
      return in_context(heard.error(), command);
    }
    if (!*heard) {
      return fail(Errc::busy, "{}: no answer within {} ms", command, timeout.count());
    }
  }
  const Json answer = *std::exchange(answer_, std::nullopt);
  if (answer.contains("error")) {
    return refusal(command, answer["error"]);
  }
  return answer["return"];
}

Result<Event> Client::wait_event(std::string_view name, Milliseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  std::size_t patience = kPatience;
  while (true) {
    if (auto event = events_.pop(name)) {
      return *std::move(event);
    }
    TRY_ASSIGN(const bool heard, hear(deadline, patience));
    if (!heard) {
      return fail(Errc::busy, "QEMU's monitor: no {} event within {} ms", name, timeout.count());
    }
  }
}

Result<> Client::hear_all() {
  std::size_t patience = kPatience;
  bool heard = true;
  while (heard) {
    TRY_ASSIGN(heard, hear(Clock::now(), patience));
  }
  return {};
}

Result<std::optional<Event>> Client::take_event(std::string_view name) {
  TRY(hear_all());
  return events_.pop(name);
}

Result<std::optional<Event>> Client::next_event() {
  const Result<> heard = hear_all();
  if (auto event = events_.pop()) {
    return event;
  }
  TRY(heard);
  return std::nullopt;
}

std::vector<Event> Client::take_recorded() {
  std::vector<Event> events;
  while (auto event = recorded_.pop()) {
    events.push_back(*std::move(event));
  }
  return events;
}

Result<> Client::drop_events() {
  TRY(hear_all());
  events_.clear();
  return {};
}

Result<> Client::wait_closed(Milliseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  std::size_t patience = kPatience;
  while (true) {
    const auto heard = hear(deadline, patience);
    if (!heard) {
      return heard.error().code == Errc::not_found ? Result<>() : tl::unexpected(heard.error());
    }
    if (!*heard) {
      return fail(Errc::busy, "QEMU did not end within {} ms", timeout.count());
    }
  }
}

}  // namespace vmcore::qmp
