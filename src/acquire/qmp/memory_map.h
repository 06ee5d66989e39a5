// SPDX-License-Identifier: GPL-2.0-or-later
// QEMU's map of its memory, which only its monitor for people (HMP) prints: which parts of its
// blocks a guest sees where.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "src/base/address.h"
#include "src/base/result.h"
#include "src/sandbox/messages.h"

namespace vmcore::acquire {

// From the text of "info mtree -f": the RAM and ROM of address space "memory" (QEMU
// softmmu/memory.c, mtree_print_flatview, v4.0 and later). Errc::unsupported where it has another
// form.
Result<std::vector<sandbox::BlockPlace>> parse_memory_map(std::string_view text);

// From the text of "info ramblock": the bytes of all blocks together (QEMU softmmu/physmem.c,
// ram_block_format, v2.12 and later).
Result<std::uint64_t> parse_block_total(std::string_view text);

// From the text of "xp/NUMBERgx ADDRESS": fills `bytes`, which begin at `address` and are whole
// words of 8 bytes (QEMU monitor/hmp-cmds-target.c, memory_dump, v2.0 and later). Errc::unsupported
// where it has another form, or does not have all of them.
Result<> parse_words(std::string_view text, PhysAddr address, std::span<std::byte> bytes);

}  // namespace vmcore::acquire
