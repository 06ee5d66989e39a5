#include "src/acquire/callers.h"

#include <fcntl.h>
#include <netdb.h>
#include <sys/epoll.h>
#include <sys/socket.h>
// First the socket header: this one needs its types.
#include <linux/vm_sockets.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <utility>

namespace vmcore::acquire {
namespace {

// It is readable when so many bytes are there, or its end.
void listen_for(int fd, int bytes) {
  ::setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes);
}

std::string name_of_peer(const sockaddr_storage& peer, socklen_t size) {
  const auto* const address = reinterpret_cast<const sockaddr*>(&peer);
  if (peer.ss_family == AF_VSOCK) {
    return fmt::format("cid-{}", reinterpret_cast<const sockaddr_vm*>(&peer)->svm_cid);
  }
  char text[NI_MAXHOST] = "";
  ::getnameinfo(address, size, text, sizeof text, nullptr, 0, NI_NUMERICHOST);
  constexpr std::string_view kMapped = "::ffff:";  // IPv4, on a socket of IPv6
  return std::string_view(text).starts_with(kMapped) ? text + kMapped.size() : text;
}

}  // namespace

Result<Callers> Callers::make(Fd listener) {
  Callers callers;
  callers.listener_ = std::move(listener);
  callers.epoll_ = Fd(::epoll_create1(EPOLL_CLOEXEC));
  if (!callers.epoll_ || ::fcntl(callers.listener_.get(), F_SETFL, O_NONBLOCK) != 0) {
    return fail_errno(errno, "where guests connect");
  }
  TRY(callers.watch(callers.listener_.get()));
  return callers;
}

Result<> Callers::watch(int fd) const {
  epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    return fail_errno(errno, "epoll");
  }
  return {};
}

Result<> Callers::accept() {
  sockaddr_storage peer{};
  socklen_t size = sizeof peer;
  Fd fd(::accept4(listener_.get(), reinterpret_cast<sockaddr*>(&peer), &size, SOCK_CLOEXEC));
  if (!fd && (errno == EBADF || errno == EINVAL || errno == ENOTSOCK)) {
    return fail_errno(errno, "where guests connect");
  }
  if (!fd && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
    if (silent_.empty()) {
      return fail_errno(errno, "a guest that connects");
    }
    silent_.pop_front();  // there is room for another
    return {};
  }
  if (!fd) {
    return {};  // gone already, or the network has an error that is its own (accept(2))
  }
  listen_for(fd.get(), kLeastWords);
  TRY(watch(fd.get()));
  silent_.push_back({name_of_peer(peer, size), std::move(fd)});
  if (silent_.size() > kMostSilent) {
    silent_.pop_front();
  }
  return {};
}

Result<std::optional<Caller>> Callers::next() {
  epoll_event event{};
  while (::epoll_wait(epoll_.get(), &event, 1, 0) > 0) {
    if (event.data.fd == listener_.get()) {
      TRY(accept());
      continue;
    }
    const auto spoke = std::ranges::find_if(
        silent_, [&](const Caller& caller) { return caller.fd.get() == event.data.fd; });
    if (spoke == silent_.end()) {
      break;
    }
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, event.data.fd, nullptr);
    Caller caller = std::move(*spoke);
    listen_for(caller.fd.get(), 1);
    silent_.erase(spoke);
    return caller;
  }
  return std::nullopt;
}

}  // namespace vmcore::acquire
