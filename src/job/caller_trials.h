// CallerTrials: those who connect where guests do, each read by a worker of its own, until one of
// them begins a stream. Nobody waits for another: a caller that says nothing more makes room for
// the next one, and one address takes no more than half of the room.
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
  // So long a caller may be silent, whoever else waits: far more than a worker takes to know a
  // stream by what it has read.
  static constexpr std::chrono::milliseconds kLeast{250};

  // Begins to read what a caller says.
  using Begin = std::function<Result<StreamReading>(acquire::Caller caller)>;
  explicit CallerTrials(Begin begin) : begin_(std::move(begin)) {}

  // Begins with as many of those that have spoken as there is room for. Whether some must wait:
  // then there may be room kLeast later.
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
  // What their workers say: the first that begins a stream. Those that did not are given to `told`,
  // and hung up on.
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
  // Whether a caller of that peer can be heard now; hangs up on another for it.
  bool make_room(const std::string& peer);
  static bool is_silent(Trial& trial);
  bool drop_silent(const std::optional<std::string>& peer);

  Begin begin_;
  std::list<Trial> trials_;  // in the order in which they began
};

}  // namespace vmcore::job
