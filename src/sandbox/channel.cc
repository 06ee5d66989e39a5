// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/sandbox/channel.h"

#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "src/sandbox/messages.h"

namespace vmcore::sandbox {
namespace {

// Room for kMaxFds descriptors, aligned as cmsghdr wants.
struct alignas(cmsghdr) ControlBuffer {
  char bytes[CMSG_SPACE(kMaxFds * sizeof(int))] = {};
};

std::vector<Fd> take_fds(msghdr& message) {
  std::vector<Fd> fds;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) {
      continue;
    }
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
      fds.emplace_back(fd);
    }
  }
  return fds;
}

}  // namespace

Result<std::pair<Channel, Channel>> Channel::make_pair() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return fail_errno(errno, "socketpair");
  }
  return std::pair{Channel(Fd(ends[0])), Channel(Fd(ends[1]))};
}

Result<> Channel::send(std::string_view text, std::span<const int> fds) const {
  return send(text, fds, 0);
}

Result<> Channel::send_at_once(std::string_view text, std::span<const int> fds) const {
  return send(text, fds, MSG_DONTWAIT);
}

Result<> Channel::send(std::string_view text, std::span<const int> fds, int flags) const {
  ControlBuffer control;
  iovec part{const_cast<char*>(text.data()), text.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
  }
  while (::sendmsg(socket_.get(), &message, MSG_NOSIGNAL | flags) < 0) {
    if (errno == EPIPE || errno == ECONNRESET) {
      return fail(Errc::cancelled, "the other end of the channel was closed");
    }
    if (errno == EAGAIN) {
      return fail(Errc::malformed, "worker protocol: the other end does not read its messages");
    }
    if (errno != EINTR) {
      return fail_errno(errno, "send");
    }
  }
  return {};
}

Result<Packet> Channel::receive() const {
  Packet packet;
  packet.text.resize(kMaxPacket);
  ControlBuffer control;
  iovec part{packet.text.data(), packet.text.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes;
  message.msg_controllen = sizeof(control.bytes);
  ssize_t size = 0;
  // An end that left something unread is told of before what it sent last, and once (Linux
  // net/unix/af_unix.c, unix_release_sock, v6.12): the next call brings that.
  bool reset = false;
  while ((size = ::recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC)) < 0) {
    if (errno == ECONNRESET && reset) {
      break;
    }
    reset = reset || errno == ECONNRESET;
    if (errno != EINTR && errno != ECONNRESET) {
      return fail_errno(errno, "receive");
    }
  }
  if (size <= 0) {
    return fail(Errc::cancelled, "the other end of the channel was closed");
  }
  packet.fds = take_fds(message);
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    return fail(Errc::limit, "a message of the worker protocol is too large");
  }
  packet.text.resize(static_cast<std::size_t>(size));
  return packet;
}

bool Channel::has_unread() const {
  int bytes = 0;
  return ::ioctl(socket_.get(), SIOCOUTQ, &bytes) == 0 && bytes != 0;
}

void Channel::wait_closed() const {
  pollfd wait{socket_.get(), POLLRDHUP, 0};
  while (::poll(&wait, 1, -1) <= 0 || (wait.revents & (POLLRDHUP | POLLHUP | POLLERR)) == 0) {
  }
}

}  // namespace vmcore::sandbox
