// ReadAhead: the memory of a guest that waits, copied for a worker into a room that both share.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "src/acquire/guest.h"
#include "src/base/fd.h"
#include "src/base/result.h"
#include "src/sandbox/copy_room.h"

namespace vmcore::job {

class ReadAhead {
 public:
  // For a guest whose memory is read in place (borrowed), with read_ahead_room().
  static Result<ReadAhead> make(acquire::Guest& guest);

  // What the worker gets of it. Borrowed.
  int room() const { return file_.get(); }
  // Answers a Locate: what is told may be copied from then on, and nothing else.
  Result<ImageSource> locate(std::span<const PhysRange> blocks);
  // Answers a Copy.
  Result<> copy(std::uint64_t entries) const;

 private:
  ReadAhead(acquire::Guest& guest, Fd file, sandbox::CopyRoom room)
      : guest_(&guest), file_(std::move(file)), room_(std::move(room)) {}

  acquire::Guest* guest_;
  Fd file_;
  sandbox::CopyRoom room_;
  std::vector<Piece> told_;
};

}  // namespace vmcore::job
