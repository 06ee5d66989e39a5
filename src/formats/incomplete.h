// SPDX-License-Identifier: GPL-2.0-or-later
// How a dump file says that it lacks pages it should have.
#pragma once

#include "src/formats/byte_source.h"
#include "src/image/image.h"

namespace vmcore::formats {

// Marks the image, with a remark for each reason: `says_so`, by the header's own flag for it, and
// what is wrong with the source.
void tell_incomplete(bool says_so, const ByteSource& source, MemoryImage& image);

}  // namespace vmcore::formats
