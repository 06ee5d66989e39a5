// SPDX-License-Identifier: GPL-2.0-or-later
// MemoryDesk: reads the memory of a guest's process for a worker: what was located, and nothing
// else of the process.
//
// A descriptor of /proc/PID/mem shows all of QEMU, its secrets too, and a worker would get it when
// it has read guest bytes: no filter that it sets up for itself could be relied on. So it gets
// none.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <shared_mutex>
#include <string>
#include <thread>
#include <vector>

#include "src/acquire/guest.h"
#include "src/base/fd.h"
#include "src/base/result.h"
#include "src/sandbox/copy_room.h"
#include "src/sandbox/descriptors.h"

namespace vmcore::job {

class MemoryDesk {
 public:
  // For a guest whose memory is read in place (borrowed), and a worker of so many threads.
  static Result<std::unique_ptr<MemoryDesk>> open(acquire::Guest& guest, unsigned threads);
  // The worker can read nothing more.
  ~MemoryDesk();
  MemoryDesk(const MemoryDesk&) = delete;
  MemoryDesk& operator=(const MemoryDesk&) = delete;

  // What goes beside the request. Borrowed.
  std::vector<sandbox::NamedFd> descriptors() const;
  // Answers a Locate with what `find` finds: from then on that memory may be read.
  Result<ImageSource> locate(const std::function<Result<ImageSource>()>& find);
  // The same, of a guest that is looked at (no blocks) or stands still.
  Result<ImageSource> locate(std::span<const PhysRange> blocks);
  // Answers a Copy: copies entries of the room's table.
  Result<> copy(const sandbox::CopyRoom& room, std::uint64_t entries) const;

 private:
  struct Line {
    std::string name;
    Fd ours;
    Fd theirs;
  };

  MemoryDesk(acquire::Guest& guest, Fd file, sandbox::CopyRoom windows)
      : guest_(guest), file_(std::move(file)), windows_(std::move(windows)) {}
  // Answers on a line until it is closed.
  void serve(int line) const;
  Result<> answer(int line) const;

  acquire::Guest& guest_;
  Fd file_;
  sandbox::CopyRoom windows_;
  std::vector<Line> lines_;
  mutable std::shared_mutex mutex_;  // of the guest's process, and:
  std::vector<Piece> told_;
  std::vector<std::jthread> threads_;
};

}  // namespace vmcore::job
