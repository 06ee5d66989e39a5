// SPDX-License-Identifier: GPL-2.0-or-later
// Where a guest's RAM was proven to lie in its QEMU (challenge.h), remembered while that process
// lives: to ask QEMU for the contents of many pages takes longer than all else before a dump. It is
// a hint, which is checked with one page (fits_still()).
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/acquire/process/guest_process.h"

namespace vmcore::acquire {

// By the notes of this user (process_notes.h). Empty: nothing is known.
std::vector<RamBlock> recall_ram(const ProcessKey& process);
void remember_ram(const ProcessKey& process, std::span<const RamBlock> blocks);

// A line for each block: its begin, its size and its address, in hexadecimal digits.
std::string text_of_ram(std::span<const RamBlock> blocks);
// Empty for any other text.
std::vector<RamBlock> ram_from_text(std::string_view text);

}  // namespace vmcore::acquire
