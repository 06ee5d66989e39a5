// Line: the way of a guest's stream to its host: a virtio-serial port, a vsock connection.
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
  // `fd` is open for reading and writing, and O_NONBLOCK. `beat` outlives the line.
  Line(Fd fd, const Beat& beat) : fd_(std::move(fd)), beat_(beat) {}

  // Until somebody listens: a port can be open with nobody behind it.
  Result<> wait_for_host(std::chrono::seconds patience) const;
  // All of `bytes`. Errc::io where the host hung up, or takes nothing for `kPatience`.
  Result<> send(std::span<const std::byte> bytes) const;
  // Until the host, which has all, hangs up: what still waits on its side of a port is lost with
  // the machine. Whether it did; Errc::io where it broke off what it had not read.
  Result<bool> wait_for_goodbye(std::chrono::seconds patience) const;

 private:
  static constexpr std::chrono::seconds kPatience{30};
  Result<> wait_for_room(std::chrono::seconds patience) const;

  Fd fd_;
  const Beat& beat_;
};

}  // namespace vmcore::guest::save
