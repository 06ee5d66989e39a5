// SPDX-License-Identifier: GPL-2.0-or-later
// Whether bytes are all zero, at memory speed: the test of every page that is copied.
#pragma once

#include <cstddef>
#include <span>

namespace vmcore {

// True for an empty span.
bool all_zero(std::span<const std::byte> bytes);

}  // namespace vmcore
