// SPDX-License-Identifier: GPL-2.0-or-later
// CallerTrials: the clients that connect, each read by a worker of its own, until one of them
// begins a stream. No client delays another: a silent client makes room for the next one, and one
// peer gets at most half of the room.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <list>
#include <optional>
#include <string>
#include <vector>

#include "src/acquire/crash/callers.h"
#include "src/base/result.h"
#include "src/job/stream_reading.h"
#include "src/sandbox/messages.h"

namespace vmcore::job {

class CallerTrials {
 public:
  static constexpr std::size_t kMost = 16;
  static constexpr std::size_t kMostOfPeer = kMost / 2;
  // A client may be silent for this long while others wait: far longer than a worker takes to
  // recognise a stream in what it has read.
  static constexpr std::chrono::milliseconds kLeast{250};

  // Begins to read what a client sends.
  using Begin = std::function<Result<StreamReading>(acquire::Caller caller)>;
  explicit CallerTrials(Begin begin) : begin_(std::move(begin)) {}

  // Begins to read from clients that have sent something, up to the limit of readings. Returns
  // whether a client must wait; a reading may be free again after kLeast.
  Result<bool> take(acquire::Callers& callers);
  // The workers, to be polled.
  std::vector<int> fds() const;

  struct Winner {
    StreamReading reading;
    sandbox::Hello hello;
  };
  struct Stray {
    std::string name;
    Error why;
  };
  // The events of their workers: the first client that begins a stream. Clients that did not are
  // passed to `told` and disconnected.
  std::optional<Winner> look(const std::function<void(const Stray&)>& told);

 private:
  struct Trial {
    std::string peer;
    StreamReading reading;
    // When its worker was first seen to wait for it, of this time.
    std::optional<std::chrono::steady_clock::time_point> silent_since = {};
  };
  std::vector<std::string> peers() const;
  std::size_t count(const std::string& peer) const;
  // Whether a client of that peer can be read now; disconnects another one for it.
  bool make_room(const std::string& peer);
  static bool is_silent(Trial& trial);
  bool drop_silent(const std::optional<std::string>& peer);

  Begin begin_;
  std::list<Trial> trials_;  // in the order in which they began
};

}  // namespace vmcore::job
