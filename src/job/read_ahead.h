// SPDX-License-Identifier: GPL-2.0-or-later
// ReadAhead: copies the memory of a paused guest for a worker, into a room that both share.
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
  // For a guest whose memory is read in place (borrowed); room for that many bytes
  // (Budget::memory).
  static Result<ReadAhead> make(acquire::Guest& guest, std::uint64_t bytes);

  // The descriptor for the worker. Borrowed.
  int room() const { return file_.get(); }
  // Answers a Locate: from then on the memory that it reports may be copied, and nothing else.
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
