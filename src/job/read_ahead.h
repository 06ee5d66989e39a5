// SPDX-License-Identifier: GPL-2.0-or-later
// ReadAhead: copies the memory of a paused guest for a worker, into a room that both share.
#pragma once

#include <cstdint>
#include <utility>

#include "src/base/fd.h"
#include "src/base/result.h"
#include "src/job/memory_desk.h"
#include "src/sandbox/copy_room.h"

namespace vmcore::job {

class ReadAhead {
 public:
  // Copies what the desk (borrowed) located; room for that many bytes (Budget::memory).
  static Result<ReadAhead> make(const MemoryDesk& desk, std::uint64_t bytes);

  // The descriptor for the worker. Borrowed.
  int room() const { return file_.get(); }
  // Answers a Copy.
  Result<> copy(std::uint64_t entries) const { return desk_->copy(room_, entries); }

 private:
  ReadAhead(const MemoryDesk& desk, Fd file, sandbox::CopyRoom room)
      : desk_(&desk), file_(std::move(file)), room_(std::move(room)) {}

  const MemoryDesk* desk_;
  Fd file_;
  sandbox::CopyRoom room_;
};

}  // namespace vmcore::job
