// SPDX-License-Identifier: GPL-2.0-or-later
// ByteSource: the bytes of a dump as its format describes them, wherever they lie: a plain file, or
// a flattened stream that was saved into a file. Format readers know only this.
//
// Everything is read with pread into the caller's buffer: a file that shrinks underneath gives a
// short read, where a mapping would raise SIGBUS.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "src/base/fd.h"
#include "src/base/result.h"

namespace vmcore::formats {

// Bytes of one kind: a hole reads as zeros without anything being read.
struct FileRun {
  std::uint64_t size = 0;
  bool hole = false;
};

// Const member functions may be called from any thread at a time.
class ByteSource {
 public:
  virtual ~ByteSource() = default;

  // Fixed at open, even if the file changes.
  virtual std::uint64_t size() const = 0;
  // Reads until `out` is full or the source ends; returns the bytes read.
  virtual Result<std::size_t> read(std::uint64_t offset, std::span<std::byte> out) const = 0;
  // The run from `offset` on, never past size(). Empty only at the end. The next run may be of the
  // same kind.
  virtual FileRun run(std::uint64_t offset) const = 0;

  // Added to the name of the format: " flattened", or nothing.
  virtual std::string_view wrapping() const { return {}; }
  // What is wrong with the wrapping itself; not empty means that bytes are missing.
  virtual std::vector<Remark> remarks() const { return {}; }
};

// A regular file or block device.
Result<std::unique_ptr<ByteSource>> open_plain(Fd file);

// Exactly `size` bytes at `offset`; Errc::truncated, naming `what`, where the source ends before.
// The caller bounds `size`.
Result<std::vector<std::byte>> read_block(const ByteSource& source, std::uint64_t offset,
                                          std::uint64_t size, std::string_view what);

}  // namespace vmcore::formats
