#include "guest/save/line.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <thread>

namespace vmcore::guest {
namespace {

using std::chrono::milliseconds;

// A virtio-serial port without a listener is POLLHUP at once and for as long as it lasts
// (drivers/char/virtio_console.c, port_fops_poll), so poll alone would spin.
constexpr milliseconds kStep{50};

short poll_once(int fd, short events, milliseconds wait) {
  pollfd ready{fd, events, 0};
  return ::poll(&ready, 1, static_cast<int>(wait.count())) > 0 ? ready.revents : short{0};
}

}  // namespace

Result<> Line::wait_for_host(std::chrono::seconds patience) const {
  const Clock::time_point until = Clock::now() + patience;
  while ((poll_once(fd_.get(), POLLOUT, kStep) & (POLLHUP | POLLOUT)) != POLLOUT) {
    if (Clock::now() >= until) {
      return fail(Errc::not_found, "nobody listened on the host for {} s", patience.count());
    }
    beat_();
    std::this_thread::sleep_for(kStep);
  }
  return {};
}

Result<> Line::wait_for_room(std::chrono::seconds patience) const {
  const Clock::time_point until = Clock::now() + patience;
  for (;;) {
    const short found = poll_once(fd_.get(), POLLOUT, milliseconds(1000));
    if ((found & (POLLHUP | POLLERR)) != 0) {
      return fail(Errc::io, "the host hung up");
    }
    if ((found & POLLOUT) != 0) {
      return {};
    }
    if (Clock::now() >= until) {
      return fail(Errc::io, "the host took nothing for {} s", patience.count());
    }
    beat_();
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
  beat_();
  return {};
}

Result<bool> Line::wait_for_goodbye(std::chrono::seconds patience) const {
  for (const Clock::time_point until = Clock::now() + patience; Clock::now() < until;) {
    // A socket's end comes as an empty read; what the host says is not listened to.
    std::array<std::byte, 256> ignored;
    const ssize_t got = ::read(fd_.get(), ignored.data(), ignored.size());
    if (got < 0 && (errno == ECONNRESET || errno == EPIPE)) {
      return fail_errno(errno, "the host hung up before it had all");
    }
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR) ||
        (poll_once(fd_.get(), POLLIN, kStep) & (POLLHUP | POLLERR)) == POLLHUP) {
      return true;
    }
    beat_();
    std::this_thread::sleep_for(kStep);
  }
  return false;
}

}  // namespace vmcore::guest
