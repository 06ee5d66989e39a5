// SPDX-License-Identifier: GPL-2.0-or-later
// Callers: the clients that connect by vsock or TCP. A guest sends as soon as it is connected. A
// client that is silent, or sends less than the header of a stream, delays nobody else, and a peer
// with many connections delays no other peer.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <span>
#include <string>

#include "src/base/fd.h"
#include "src/base/result.h"

namespace vmcore::acquire {

struct Caller {
  std::string name;  // its address or context id
  std::string peer;  // the same for all who may be one: a context id, an IPv4 address, the first
                     // half of an IPv6 address
  Fd fd;
};

class Callers {
 public:
  static Result<Callers> make(Fd listener);

  // Readable when next() may have somebody.
  int fd() const { return epoll_.get(); }
  // Of the clients that have sent kLeastWords, one of the peer that is least often in `busy`, the
  // latest first: earlier ones did not make progress. Nothing if there is none yet.
  Result<std::optional<Caller>> next(std::span<const std::string> busy = {});
  // One that cannot be heard yet.
  void put_back(Caller caller);

  // Bytes: the header of a frame (docs/formats/guest-stream.md). vsock may report the first byte:
  // it honours SO_RCVLOWAT late, TCP does since Linux 2.6.28 (socket(7)).
  static constexpr int kLeastWords = 48;

 private:
  // If there are more, the oldest connection of the peer with the most connections is closed.
  static constexpr std::size_t kMostWaiting = 64;

  struct Waiting {
    Caller caller;
    bool spoke = false;
  };

  Result<> accept();
  Result<> watch(int fd) const;
  // All that happened since.
  Result<> gather();
  void hear(int fd, bool hung_up);
  std::size_t count(const std::string& peer) const;
  void drop_one();

  Fd listener_;
  Fd epoll_;
  std::deque<Waiting> waiting_;  // in the order in which they came
};

}  // namespace vmcore::acquire
