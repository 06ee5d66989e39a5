// SPDX-License-Identifier: GPL-2.0-or-later
// The system calls that move dump data. Every byte read from an input or written to an output goes
// through here, so that tests link a twin of sys.cc that fails on demand.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "src/base/result.h"

namespace vmcore::sys {

// Reads until `out` is full or the input ends; returns the bytes read. Restarts on EINTR.
Result<std::size_t> pread_full(int fd, std::span<std::byte> out, std::uint64_t offset);
Result<std::size_t> read_full(int fd, std::span<std::byte> out);
// Reads what is there, waiting for the first byte; 0 at the end of the input. Restarts on EINTR.
Result<std::size_t> read_some(int fd, std::span<std::byte> out);

// Writes all of `data`, or fails.
Result<> pwrite_full(int fd, std::span<const std::byte> data, std::uint64_t offset);
Result<> write_full(int fd, std::span<const std::byte> data);

// Size in bytes of what the descriptor refers to (regular files and block devices).
Result<std::uint64_t> file_size(int fd);
Result<> truncate(int fd, std::uint64_t size);
// Makes written data, or for a folder its names, survive a power cut. Does nothing for a descriptor
// without storage, such as a pipe.
Result<> sync(int fd);

}  // namespace vmcore::sys
