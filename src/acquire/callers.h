// Callers: whoever connects where guests do, by vsock or TCP. A guest speaks as soon as it is
// connected; one that stays silent, or says less than any stream begins with, keeps nobody else
// waiting.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <string>

#include "src/base/fd.h"
#include "src/base/result.h"

namespace vmcore::acquire {

struct Caller {
  std::string name;  // its address or context id
  Fd fd;
};

class Callers {
 public:
  static Result<Callers> make(Fd listener);

  // Readable when next() may have somebody.
  int fd() const { return epoll_.get(); }
  // One that has said kLeastWords or hung up; nothing where there is none yet.
  Result<std::optional<Caller>> next();

  // Bytes: the header of a frame (docs/formats/guest-stream.md). Of vsock the first byte may do: it
  // heeds SO_RCVLOWAT late, TCP since Linux 2.6.28 (socket(7)).
  static constexpr int kLeastWords = 48;

 private:
  // Where there are more, the one that was silent longest is hung up on.
  static constexpr std::size_t kMostSilent = 64;

  Result<> accept();
  Result<> watch(int fd) const;

  Fd listener_;
  Fd epoll_;
  std::deque<Caller> silent_;  // in the order in which they came
};

}  // namespace vmcore::acquire
