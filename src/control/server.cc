// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/control/server.h"
#include "src/base/unix_address.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

namespace vmcore::control {
namespace {

constexpr std::uint64_t kListener = 0;
constexpr std::uint64_t kTimer = 1;
// Then there may be descriptors again.
constexpr std::chrono::seconds kFullFor{1};

// What a service that was killed left.
Result<> remove_dead_socket(const std::filesystem::path& path, const sockaddr_un& address) {
  const Fd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const bool lives =
      ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ||
      errno == EAGAIN;
  if (lives) {
    return fail(Errc::busy, "another vmcored listens on {}", path.string());
  }
  // A file that is no socket refuses, too.
  struct stat status {};
  if (errno == ECONNREFUSED && ::stat(path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode) &&
      ::unlink(path.c_str()) != 0) {
    return fail_errno(errno, path.string());
  }
  return {};
}

// SO_PEERCRED has the group of the process, SO_PEERGROUPS (Linux 4.13, 28b5ba2aa0f5) the others.
bool is_in_group(int socket, gid_t own, gid_t group) {
  std::array<gid_t, 1024> groups;
  socklen_t size = sizeof groups;
  if (own == group) {
    return true;
  }
  return ::getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size) == 0 &&
         std::find(groups.begin(), groups.begin() + size / sizeof(gid_t), group) !=
             groups.begin() + size / sizeof(gid_t);
}

gid_t group_of(const std::filesystem::path& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 ? status.st_gid : gid_t{0};
}

// The text, or nothing of it if the client does not take it at once.
ssize_t send_with(int socket, std::string_view text, std::span<const int> fds) {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kMostLent * sizeof(int))> control{};
  iovec part{const_cast<char*>(text.data()), text.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = CMSG_SPACE(fds.size_bytes());
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(fds.size_bytes());
  std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
  return ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

}  // namespace

Result<Server> Server::listen(const std::filesystem::path& path, gid_t group) {
  TRY_ASSIGN(const sockaddr_un address, unix_address(path));
  TRY(remove_dead_socket(path, address));
  Fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  // Nobody connects before listen(2), when mode and group are as they should be.
  if (!listener ||
      ::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::chmod(path.c_str(), 0660) != 0 ||
      (group != ~gid_t{0} && ::chown(path.c_str(), ~uid_t{0}, group) != 0) ||
      ::listen(listener.get(), static_cast<int>(kMostClients)) != 0) {
    return fail_errno(errno, path.string());
  }
  Fd epoll(::epoll_create1(EPOLL_CLOEXEC));
  Fd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  epoll_event wait{.events = EPOLLIN, .data = {.u64 = kListener}};
  epoll_event late{.events = EPOLLIN, .data = {.u64 = kTimer}};
  if (!epoll || !timer || ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, listener.get(), &wait) != 0 ||
      ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, timer.get(), &late) != 0) {
    return fail_errno(errno, path.string());
  }
  return Server(path, std::move(listener), std::move(epoll), std::move(timer));
}

Server::~Server() {
  if (listener_) {
    ::unlink(path_.c_str());
  }
}

void Server::wait_for(std::uint64_t id, const Client& client, unsigned events, int operation) {
  epoll_event wait{.events = events, .data = {.u64 = id}};
  ::epoll_ctl(epoll_.get(), operation, client.socket.get(), &wait);
}

bool Server::has_room(const Client& client) const {
  const auto others =
      std::ranges::count_if(clients_, [](const auto& entry) { return !entry.second.may_all; });
  return clients_.size() < kMostClients &&
         (client.may_all || static_cast<std::size_t>(others) < kMostOtherClients);
}

void Server::greet(Fd socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    return;
  }
  Client client{.socket = std::move(socket),
                .uid = peer.uid,
                .may_all = peer.uid == 0 || peer.uid == ::geteuid(),
                .deadline = Clock::now() + kPatience};
  client.may_ask = client.may_all || is_in_group(client.socket.get(), peer.gid, group_of(path_));
  if (!has_room(client)) {
    const std::string text =
        to_json(Answer{.error = Error{Errc::busy, "vmcored has too many clients: try again"}});
    static_cast<void>(
        ::send(client.socket.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
    return;
  }
  const std::uint64_t id = ++last_;
  const Client& kept = clients_.emplace(id, std::move(client)).first->second;
  wait_for(id, kept, EPOLLIN, EPOLL_CTL_ADD);
}

void Server::accept_all() {
  while (true) {
    Fd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
      // The client stays, and its socket would be readable without end.
      full_until_ = Clock::now() + kFullFor;
      listen_for_clients(false);
      return;
    }
    if (!socket) {
      return;
    }
    greet(std::move(socket));
  }
}

void Server::listen_for_clients(bool listens) {
  epoll_event wait{.events = listens ? EPOLLIN : 0U, .data = {.u64 = kListener}};
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, listener_.get(), &wait);
}

bool Server::read_request(std::uint64_t id, Client& client, std::vector<Asked>& asked) {
  auto request = request_from_json(client.input);
  client.input.clear();
  client.asked = true;
  client.deadline = Clock::time_point::max();
  if (!request) {
    answer(id, {.error = std::move(request).error()});
  } else if (!client.may_all && !(client.may_ask && request->verb == Verb::status)) {
    answer(id, {.error = Error{Errc::denied,
                               fmt::format("user {} may not ask vmcored to {}: become root",
                                           client.uid, verb_name(request->verb))}});
  } else {
    asked.push_back({id, client.uid, *std::move(request)});
  }
  return clients_.contains(id);
}

bool Server::receive(std::uint64_t id, Client& client, std::vector<Asked>& asked) {
  std::array<char, 16 << 10> buffer;
  while (true) {
    const ssize_t got = ::recv(client.socket.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
      return true;
    }
    // A client that says more than one line has gone astray.
    if (got <= 0 || client.asked) {
      return false;
    }
    client.input.append(buffer.data(), static_cast<std::size_t>(got));
    if (client.input.size() > kMaxRequest) {
      return false;
    }
    if (client.input.back() == '\n') {
      return read_request(id, client, asked);
    }
  }
}

bool Server::send(std::uint64_t id, Client& client) {
  while (!client.output.empty()) {
    const ssize_t sent = ::send(client.socket.get(), client.output.data(), client.output.size(),
                                MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent <= 0) {
      const bool later = errno == EAGAIN || errno == EINTR;
      if (later) {
        wait_for(id, client, EPOLLOUT, EPOLL_CTL_MOD);
      }
      return later;
    }
    client.output.erase(0, static_cast<std::size_t>(sent));
  }
  return false;  // it has its answer
}

void Server::drop_late() {
  std::erase_if(clients_,
                [now = Clock::now()](const auto& entry) { return entry.second.deadline <= now; });
}

void Server::set_timer() {
  auto first = full_until_.value_or(Clock::time_point::max());
  for (const auto& [id, client] : clients_) {
    first = std::min(first, client.deadline);
  }
  itimerspec when{};  // zero: never
  if (first != Clock::time_point::max()) {
    const auto left = std::max<Clock::duration>(first - Clock::now(), std::chrono::microseconds(1));
    const auto seconds = std::chrono::floor<std::chrono::seconds>(left);
    when.it_value.tv_sec = seconds.count();
    when.it_value.tv_nsec = std::chrono::nanoseconds(left - seconds).count();
  }
  ::timerfd_settime(timer_.get(), 0, &when, nullptr);
}

std::vector<Asked> Server::step() {
  std::vector<Asked> asked;
  if (full_until_ && *full_until_ <= Clock::now()) {
    full_until_.reset();
    listen_for_clients(true);
  }
  std::array<epoll_event, kMostClients + 2> ready;
  const int count = ::epoll_wait(epoll_.get(), ready.data(), static_cast<int>(ready.size()), 0);
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = ready.at(static_cast<std::size_t>(i));
    const std::uint64_t id = event.data.u64;
    if (id == kListener) {
      accept_all();
    }
    const auto found = clients_.find(id);
    if (found == clients_.end()) {
      continue;
    }
    Client& client = found->second;
    const bool stays = client.output.empty() ? receive(id, client, asked) : send(id, client);
    if (!stays) {
      clients_.erase(id);
    }
  }
  drop_late();
  set_timer();
  return asked;
}

void Server::answer(std::uint64_t id, const Answer& answer) {
  const auto found = clients_.find(id);
  if (found == clients_.end()) {
    return;
  }
  Client& client = found->second;
  client.output = to_json(answer);
  client.deadline = Clock::now() + kPatience;
  if (!send(id, client)) {
    clients_.erase(found);
  }
  set_timer();
}

Result<Fd> Server::lend(std::uint64_t id, std::span<const int> fds) {
  auto node = clients_.extract(id);
  if (node.empty()) {
    return fail(Errc::cancelled, "the command that asked for the monitor has ended");
  }
  Client& client = node.mapped();
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, client.socket.get(), nullptr);
  const std::string text = to_json(Answer{});
  if (fds.size() > kMostLent ||
      send_with(client.socket.get(), text, fds) != static_cast<ssize_t>(text.size())) {
    return fail(Errc::cancelled, "the command that asked for the monitor has ended");
  }
  return std::move(client.socket);
}

}  // namespace vmcore::control
