// SPDX-License-Identifier: GPL-2.0-or-later
// Channel: one end of the SOCK_SEQPACKET socket between a program and its worker. Packets are
// whole; descriptors travel beside them.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "src/base/fd.h"
#include "src/base/result.h"

namespace vmcore::sandbox {

struct Packet {
  std::string text;
  std::vector<Fd> fds;
};

class Channel {
 public:
  explicit Channel(Fd socket) : socket_(std::move(socket)) {}
  // A connected pair, both close-on-exec.
  static Result<std::pair<Channel, Channel>> make_pair();

  // Sends one packet and duplicates of the descriptors. Errc::cancelled where the other end is
  // closed. Thread-safe.
  Result<> send(std::string_view text, std::span<const int> fds = {}) const;
  // The same, but never waits: Errc::malformed where the other end lets packets pile up.
  Result<> send_at_once(std::string_view text, std::span<const int> fds) const;
  // Whether the other end has not read all that was sent.
  bool has_unread() const;
  // Waits for a packet. Errc::cancelled at end of file, Errc::limit for a packet that is too large.
  Result<Packet> receive() const;
  // Waits until the other end is closed.
  void wait_closed() const;

  int fd() const { return socket_.get(); }

 private:
  Result<> send(std::string_view text, std::span<const int> fds, int flags) const;

  Fd socket_;
};

}  // namespace vmcore::sandbox
