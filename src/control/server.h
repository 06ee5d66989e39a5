// SPDX-License-Identifier: GPL-2.0-or-later
// Server: the service's end of the control socket. Nothing blocks: the service waits for one
// descriptor, and calls step() when that is readable.
//
// Root and the service's own user may ask for everything, other users only for `status`, and only
// if they are in the group of the socket's file. A client has to send its request, and to take its
// answer, within kPatience; meanwhile it may take as long as the service does.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "src/base/fd.h"
#include "src/base/result.h"
#include "src/control/control.h"

namespace vmcore::control {

// Clients at the same time; further ones are refused.
inline constexpr std::size_t kMostClients = 32;
inline constexpr std::size_t kMostOtherClients = 8;  // that are neither root nor the service's user
inline constexpr std::chrono::seconds kPatience{5};

// A request that the service has to answer.
struct Asked {
  std::uint64_t client = 0;
  uid_t uid = 0;
  Request request = {};
};

class Server {
 public:
  // The socket's file gets mode 0660 and, where `group` is one, that group. Replaces the socket of
  // a service that has ended; Errc::busy if one listens there.
  static Result<Server> listen(const std::filesystem::path& path, gid_t group = ~gid_t{0});

  Server(Server&&) = default;
  Server& operator=(Server&&) = delete;
  ~Server();

  // Becomes readable when step() has something to do, deadlines included.
  int fd() const { return epoll_.get(); }
  // Accepts, receives and sends without waiting. Refuses by itself what is no request or not
  // allowed; returns the others.
  std::vector<Asked> step();
  // Once for each request. Does nothing if the client has gone.
  void answer(std::uint64_t client, const Answer& answer);
  // The same with descriptors, at most kMostLent, which are borrowed. The connection belongs to the
  // caller from then on. Errc::cancelled if the client has gone.
  Result<Fd> lend(std::uint64_t client, std::span<const int> fds);

 private:
  using Clock = std::chrono::steady_clock;
  struct Client {
    Fd socket;
    uid_t uid = 0;
    bool may_all = false;
    bool may_ask = false;
    bool asked = false;  // the service works on its request
    std::string input = {};
    std::string output = {};  // what is not sent yet
    Clock::time_point deadline = {};
  };
  using Clients = std::map<std::uint64_t, Client>;

  Server(std::filesystem::path path, Fd listener, Fd epoll, Fd timer)
      : path_(std::move(path)),
        listener_(std::move(listener)),
        epoll_(std::move(epoll)),
        timer_(std::move(timer)) {}

  void accept_all();
  // Waits, or does not wait, for clients that connect.
  void listen_for_clients(bool listens);
  void greet(Fd socket);
  bool has_room(const Client& client) const;
  // False if the client is to be dropped.
  bool receive(std::uint64_t id, Client& client, std::vector<Asked>& asked);
  bool read_request(std::uint64_t id, Client& client, std::vector<Asked>& asked);
  bool send(std::uint64_t id, Client& client);
  void wait_for(std::uint64_t id, const Client& client, unsigned events, int operation);
  void drop_late();
  void set_timer();

  std::filesystem::path path_;
  Fd listener_;
  Fd epoll_;
  Fd timer_;
  Clients clients_;
  // When clients are accepted again; nothing: they are now.
  std::optional<Clock::time_point> full_until_ = {};
  std::uint64_t last_ = 1;  // 0 and 1 are the listener and the timer
};

}  // namespace vmcore::control
