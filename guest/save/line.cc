// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/save/line.h"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <functional>

#include "guest/save/wait_until.h"

namespace vmcore::guest::save {
namespace {

using std::chrono::milliseconds;

// poll(2) returns POLLHUP at once for a virtio-serial port without a listener
// (drivers/char/virtio_console.c, port_fops_poll), so a loop of poll alone would spin: wait_until()
// sleeps as well.
constexpr milliseconds kStep{50};

short poll_once(int fd, short events, milliseconds wait) {
  pollfd ready{fd, events, 0};
  return ::poll(&ready, 1, static_cast<int>(wait.count())) > 0 ? ready.revents : short{0};
}

// Whether the host has read everything and closed the connection.
Result<bool> hung_up(int fd) {
  // The end of a socket is an empty read. Data from the host is ignored.
  std::array<std::byte, 256> ignored;
  const ssize_t got = ::read(fd, ignored.data(), ignored.size());
  if (got < 0 && (errno == ECONNRESET || errno == EPIPE)) {
    return fail_errno(errno, "the host closed the connection before it had read everything");
  }
  return got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR) ||
         (poll_once(fd, POLLIN, kStep) & (POLLHUP | POLLERR)) == POLLHUP;
}

}  // namespace

Result<> Line::wait_for_host(std::chrono::seconds patience) const {
  const auto listens = [&] {
    return (poll_once(fd_.get(), POLLOUT, kStep) & (POLLHUP | POLLOUT)) == POLLOUT;
  };
  return wait_until(listens, patience, std::cref(heartbeat_))
             ? Result<>()
             : fail(Errc::not_found, "no process on the host listened within {} s",
                    patience.count());
}

Result<> Line::wait_for_room(std::chrono::seconds patience) const {
  const Clock::time_point until = Clock::now() + patience;
  for (;;) {
    const short found = poll_once(fd_.get(), POLLOUT, milliseconds(1000));
    if ((found & (POLLHUP | POLLERR)) != 0) {
      return fail(Errc::io, "the host closed the connection");
    }
    if ((found & POLLOUT) != 0) {
      return {};
    }
    if (Clock::now() >= until) {
      return fail(Errc::io, "the host accepted no data for {} s", patience.count());
    }
    heartbeat_();
  }
}

Result<> Line::send(std::span<const std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd_.get(), bytes.data(), bytes.size());
    if (written > 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    } else if (written == 0 || errno == EAGAIN) {
      TRY(wait_for_room(kPatience));
    } else if (errno != EINTR) {
      return fail_errno(errno, "sending to the host");
    }
  }
  heartbeat_();
  return {};
}

Result<bool> Line::wait_for_goodbye(std::chrono::seconds patience) const {
  Result<bool> over = false;
  const auto ended = [&] {
    over = hung_up(fd_.get());
    return !over || *over;
  };
  wait_until(ended, patience, std::cref(heartbeat_));
  return over;
}

}  // namespace vmcore::guest::save
