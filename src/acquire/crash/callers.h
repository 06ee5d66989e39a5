// Callers: whoever connects where guests do, by vsock or TCP. A guest speaks as soon as it is
// connected; one that stays silent, or says less than any stream begins with, keeps nobody else
// waiting, and an address with many connections keeps no other address waiting.
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
  // Of those that have said kLeastWords, one of the peer that is least often in `busy`, the last
  // that came first: who came before it did not get on. Nothing where there is none yet.
  Result<std::optional<Caller>> next(std::span<const std::string> busy = {});
  // One that cannot be heard yet.
  void put_back(Caller caller);

  // Bytes: the header of a frame (docs/formats/guest-stream.md). Of vsock the first byte may do: it
  // heeds SO_RCVLOWAT late, TCP since Linux 2.6.28 (socket(7)).
  static constexpr int kLeastWords = 48;

 private:
  // Where there are more, the oldest of the peer that has the most is hung up on.
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
