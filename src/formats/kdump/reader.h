// SPDX-License-Identifier: GPL-2.0-or-later
// kdump-compressed dumps, header versions 1 to 6: makedumpfile's, QEMU's, our own.
// docs/formats/kdump.md has the layout.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "src/base/result.h"
#include "src/formats/byte_source.h"
#include "src/image/image.h"

namespace vmcore::formats {

bool is_kdump(std::span<const std::byte> start);

// Pages of the first bitmap are RAM, those of the second are in the file, the rest is `excluded`.
// A page whose descriptor is missing or wrong is `lost`; one whose data do not decompress to one
// page reads as bad. One part of a split dump, and another machine's, are Errc::unsupported. Where
// the descriptors contradict the second bitmap, the file is `doubted`.
Result<MemoryImage> open_kdump(std::unique_ptr<ByteSource> source);

}  // namespace vmcore::formats
