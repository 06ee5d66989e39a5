// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/control/ask.h"
#include "src/base/unix_address.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <span>
#include <utility>

namespace vmcore::control {
namespace {

using Clock = std::chrono::steady_clock;

Result<Fd> connect_to(const std::filesystem::path& path) {
  TRY_ASSIGN(const sockaddr_un address, unix_address(path));
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) {
    return fail_errno(errno, "socket");
  }
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
    return socket;
  }
  if (errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR) {
    return fail(Errc::not_found,
                "no vmcored listens on {}: start it (systemctl start vmcored), or give its socket "
                "with --socket",
                path.string());
  }
  if (errno == EAGAIN) {
    return fail(Errc::busy, "vmcored has too many clients on {}: try again", path.string());
  }
  return fail_errno(errno, path.string());
}

int milliseconds_until(Clock::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
  return static_cast<int>(std::max<std::int64_t>(left.count(), 0));
}

Result<> wait_for(int socket, short what, Clock::time_point deadline) {
  while (true) {
    pollfd wait{socket, what, 0};
    const int ready = ::poll(&wait, 1, milliseconds_until(deadline));
    if (ready > 0) {
      return {};
    }
    if (ready == 0) {
      return fail(Errc::busy, "vmcored does not answer");
    }
    if (errno != EINTR) {
      return fail_errno(errno, "poll");
    }
  }
}

Result<> send_all(int socket, std::string_view text, Clock::time_point deadline) {
  while (!text.empty()) {
    TRY(wait_for(socket, POLLOUT, deadline));
    const ssize_t sent = ::send(socket, text.data(), text.size(), MSG_NOSIGNAL);
    if (sent > 0) {
      text.remove_prefix(static_cast<std::size_t>(sent));
    } else if (errno == EPIPE || errno == ECONNRESET) {
      return {};  // the answer says why
    } else if (errno != EAGAIN && errno != EINTR) {
      return fail_errno(errno, "vmcored");
    }
  }
  return {};
}

// Bytes, and the descriptors that come with them; zero at the end.
Result<std::size_t> receive(int socket, std::span<char> buffer, std::vector<Fd>& fds) {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kMostLent * sizeof(int))> control{};
  iovec part{buffer.data(), buffer.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t got = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  if (got < 0) {
    return errno == ECONNRESET ? Result<std::size_t>(0) : fail_errno(errno, "vmcored");
  }
  const cmsghdr* const header = CMSG_FIRSTHDR(&message);
  if (header != nullptr && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
    for (std::size_t at = 0; CMSG_LEN(at + sizeof(int)) <= header->cmsg_len; at += sizeof(int)) {
      int number = -1;
      std::memcpy(&number, CMSG_DATA(header) + at, sizeof number);
      fds.emplace_back(number);
    }
  }
  return static_cast<std::size_t>(got);
}

struct Received {
  Answer answer;
  std::vector<Fd> fds;
};

Result<Received> receive_answer(int socket, Clock::time_point deadline) {
  Received received;
  std::string text;
  std::array<char, 16 << 10> buffer;
  while (text.empty() || text.back() != '\n') {
    TRY(wait_for(socket, POLLIN, deadline));
    TRY_ASSIGN(const std::size_t got, receive(socket, buffer, received.fds));
    if (got == 0) {
      return fail(Errc::io, "vmcored ended the connection without an answer");
    }
    if (text.size() + got > kMaxAnswer) {
      return fail(Errc::limit, "vmcored's answer has more than {} MiB", kMaxAnswer >> 20);
    }
    text.append(buffer.data(), got);
  }
  TRY_ASSIGN(received.answer, answer_from_json(text));
  if (received.answer.error) {
    return tl::unexpected(*std::move(received.answer.error));
  }
  return received;
}

}  // namespace

Result<Answer> ask(const std::filesystem::path& path, const Request& request,
                   std::chrono::milliseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  TRY_ASSIGN(const Fd socket, connect_to(path));
  TRY(send_all(socket.get(), to_json(request), deadline));
  TRY_ASSIGN(Received received, receive_answer(socket.get(), deadline));
  return std::move(received.answer);
}

Result<Loan> borrow(const std::filesystem::path& path, const std::filesystem::path& qmp_socket) {
  const auto deadline = Clock::now() + kAnswerTimeout;
  TRY_ASSIGN(Fd socket, connect_to(path));
  const Request request{.verb = Verb::lend, .socket = qmp_socket.string()};
  TRY(send_all(socket.get(), to_json(request), deadline));
  TRY_ASSIGN(Received received, receive_answer(socket.get(), deadline));
  if (received.fds.empty()) {
    return fail(Errc::io, "vmcored lent a monitor without its descriptor");
  }
  Loan loan{.monitor = std::move(received.fds.front()), .connection = std::move(socket)};
  std::move(received.fds.begin() + 1, received.fds.end(), std::back_inserter(loan.kept));
  return loan;
}

}  // namespace vmcore::control
