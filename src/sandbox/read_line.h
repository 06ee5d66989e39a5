// SPDX-License-Identifier: GPL-2.0-or-later
// The lines by which the threads of a worker have memory of a guest's process read: each is a
// SOCK_SEQPACKET socket, and a window of kWindow bytes in the pages of a CopyRoom, which both ends
// share. The worker sends a CopyEntry; the answer is how many of its bytes are in the window, a
// std::uint64_t.
#pragma once

#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <string>

#include "src/base/result.h"
#include "src/sandbox/copy_room.h"

namespace vmcore::sandbox {

inline constexpr std::uint64_t kWindow = 256U << 10;
// Threads beyond share them: one line brings more than one thread compresses.
inline constexpr unsigned kMostLines = 16;

// As the request names its socket: "line0".
inline std::string line_name(std::size_t number) { return fmt::format("line{}", number); }

inline tl::unexpected<Error> line_is_closed() {
  return fail(Errc::io, "the guest's memory can be read no longer");
}

// Errc::io where the other end is closed.
template <class Message>
Result<> send_on(int line, const Message& message) {
  ssize_t sent = -1;
  while ((sent = ::send(line, &message, sizeof message, MSG_NOSIGNAL)) < 0 && errno == EINTR) {
  }
  return sent == ssize_t{sizeof message} ? Result<>() : line_is_closed();
}

// The same for a message of another size.
template <class Message>
Result<Message> receive_on(int line) {
  Message message{};
  ssize_t got = -1;
  while ((got = ::recv(line, &message, sizeof message, 0)) < 0 && errno == EINTR) {
  }
  return got == ssize_t{sizeof message} ? Result<Message>(message) : line_is_closed();
}

}  // namespace vmcore::sandbox
