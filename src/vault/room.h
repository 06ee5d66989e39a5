// SPDX-License-Identifier: GPL-2.0-or-later
// Room that is held back on a file system: a file whose blocks are allocated, and which shrinks
// when the room is needed. File systems without fallocate(2) hold nothing back.
#pragma once

#include <cstdint>

#include "src/base/result.h"

namespace vmcore::vault {

// In a draft: for its manifest.
inline constexpr const char* kHeldName = ".held";
// In the store: for flash reports while the disk is full.
inline constexpr const char* kReserveName = ".reserve";

// Makes the file of that size, or larger if it is smaller. Errc::no_space: there is no room for it;
// the file has what was there.
Result<> hold_room(int folder, const char* name, std::uint64_t bytes);
// What it holds, in bytes.
std::uint64_t held_room(int folder, const char* name);
// Gives up to so many bytes of it free; returns how many. The file goes with its last byte.
std::uint64_t give_up_room(int folder, const char* name, std::uint64_t bytes);

}  // namespace vmcore::vault
