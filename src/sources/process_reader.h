// SPDX-License-Identifier: GPL-2.0-or-later
// ProcessReader: reads memory of the process that runs a guest. The worker has no descriptor of
// that memory: all of QEMU would lie behind it. It asks the program that started it, which reads
// what is the guest's RAM, and nothing else (job/memory_desk.h).
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "src/base/fd.h"
#include "src/base/result.h"
#include "src/sandbox/copy_room.h"
#include "src/sandbox/descriptors.h"

namespace vmcore::sources {

class ProcessReader {
 public:
  virtual ~ProcessReader() = default;
  // How many bytes could be read, from the first on. Thread-safe.
  virtual Result<std::size_t> read(std::uint64_t address, std::span<std::byte> out) const = 0;
};

// Reads by the lines of a request (sandbox/messages.h). A thread that finds no line free waits.
class LineReader final : public ProcessReader {
 public:
  // Takes "windows", and "line0", "line1" ...
  static Result<std::unique_ptr<LineReader>> make(sandbox::Descriptors& descriptors);

  Result<std::size_t> read(std::uint64_t address, std::span<std::byte> out) const override;

 private:
  explicit LineReader(sandbox::CopyRoom windows) : windows_(std::move(windows)) {}

  class Borrowed;  // a line, for one thread at a time
  Result<std::size_t> read_by(std::size_t line, std::uint64_t address,
                              std::span<std::byte> out) const;

  sandbox::CopyRoom windows_;
  std::vector<Fd> lines_;
  mutable std::mutex mutex_;
  mutable std::condition_variable returned_;
  mutable std::vector<std::size_t> free_;
};

}  // namespace vmcore::sources
