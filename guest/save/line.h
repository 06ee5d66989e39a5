// SPDX-License-Identifier: GPL-2.0-or-later
// Line: the connection that carries the stream to the host or to another machine: a virtio-serial
// port, a socket, a pipe to ssh.
#pragma once

#include <chrono>
#include <cstddef>
#include <span>

#include "guest/save/supervise.h"
#include "src/base/fd.h"
#include "src/base/result.h"

namespace vmcore::guest::save {

class Line {
 public:
  // `fd` is open for reading and writing, and O_NONBLOCK. `heartbeat` must outlive the line.
  Line(Fd fd, const Heartbeat& heartbeat) : fd_(std::move(fd)), heartbeat_(heartbeat) {}

  // Waits until a process on the host listens: a port can be open without one. Errc::not_found
  // after `patience`.
  Result<> wait_for_host(std::chrono::seconds patience) const;
  // Sends all of `bytes`. Errc::io if the host closes the connection or accepts nothing for
  // kPatience.
  Result<> send(std::span<const std::byte> bytes) const;
  // Waits until the host closes the connection, which it does when it has read everything: data
  // that is still queued in a port is lost at the reboot. Returns false after `patience`. Errc::io
  // if the host closed it without reading everything.
  Result<bool> wait_for_goodbye(std::chrono::seconds patience) const;

 private:
  static constexpr std::chrono::seconds kPatience{30};
  Result<> wait_for_room(std::chrono::seconds patience) const;

  Fd fd_;
  const Heartbeat& heartbeat_;
};

}  // namespace vmcore::guest::save
