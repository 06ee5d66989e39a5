// SPDX-License-Identifier: GPL-2.0-or-later
// Spooling: stores a dump that arrives through a pipe in a file, so that it can be read at any
// position. The file is unlinked before the first byte: nobody else can open it, and it disappears
// with the last descriptor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "src/base/result.h"

namespace vmcore::sources {

// Copies `stream` to `spool` (a regular file, empty) until the stream ends. Blocks of zeros become
// holes. `told` is called with the number of bytes so far, first after the first MiB, then now and
// then; if it returns an Error, copying ends. Returns the stream's length.
Result<std::uint64_t> spool_stream(int stream, int spool,
                                   const std::function<Result<>(std::uint64_t)>& told);

// Writes to an empty place of a sparse file: blocks of zeros (4 KiB, counted from `data`) become
// holes.
Result<> write_sparse(int file, std::span<const std::byte> data, std::uint64_t offset);

}  // namespace vmcore::sources
