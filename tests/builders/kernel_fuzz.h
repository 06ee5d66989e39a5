// SPDX-License-Identifier: GPL-2.0-or-later
// A guest of GuestBuilder with what a fuzzer changes about it: words of its memory, and lines of
// its VMCOREINFO, so that every guest-controlled byte that src/kernel looks at can be reached.
#pragma once

#include <cstdint>
#include <span>

#include "src/image/image.h"

namespace vmcore::testing {

// Input: a byte for the layout, a byte for the number of changed words, each word 2 bytes of place
// and 8 of value; the rest is lines added to VMCOREINFO. Guests are built once for each layout.
MemoryImage fuzzed_image(std::span<const std::uint8_t> input);

}  // namespace vmcore::testing
