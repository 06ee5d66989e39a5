// SPDX-License-Identifier: GPL-2.0-or-later
// The flattened format: a dump of any format as a stream of (offset, size, data) records, which
// makedumpfile -F and QEMU's kdump-* write into pipes. docs/formats/flattened.md has the layout.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "src/base/result.h"
#include "src/formats/byte_source.h"

namespace vmcore::formats {

// Whether a file that starts with these bytes is flattened.
bool is_flattened(std::span<const std::byte> start);

// The dump inside a flattened file, to be read at its own offsets. Where records overlap, the last
// one wins; bytes that no record holds are a hole. A stream that was cut short, or padded with
// zeros then, opens and has a Remark. The index of records stays in memory, 32 bytes a record and
// twice that while it is made; more than 2^22 records are Errc::limit.
Result<std::unique_ptr<ByteSource>> open_flattened(std::unique_ptr<ByteSource> file);

}  // namespace vmcore::formats
