// SPDX-License-Identifier: GPL-2.0-or-later
// Where the tables of kallsyms lie: as VMCOREINFO tells, or found by what is in them.
//
// The tables, as scripts/kallsyms.c writes them into .rodata, each aligned to 8 bytes (4 since
// v7.0):
//   before v6.4:  offsets, relative_base, num_syms, names, markers, [seqs_of_names v6.2, v6.3],
//                 token_table, token_index
//   since v6.4:   num_syms, names, markers, token_table, token_index, offsets, relative_base,
//                 seqs_of_names (404bad70fcf7); v7.0 has no relative_base
// names: each a length (ULEB128, one byte before v6.1) and as many tokens. markers: 32 bits for
// each 256th name, its offset from the beginning (v4.20, 80ffbaa5b1bd). token_table: 256 strings
// that end in NUL; token_index: 16 bits for each, its offset.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "src/base/address.h"
#include "src/base/result.h"
#include "src/kernel/guest_kernel.h"

namespace vmcore::kernel {

// An allyesconfig kernel has less than a million symbols.
inline constexpr std::uint64_t kMaxSymbols = 4 << 20;
// A name with its type is at most KSYM_NAME_LEN long (512 since v6.1, b8a94bfb3395), and no token
// is longer than the name that it is of.
inline constexpr std::size_t kMaxSymbolBytes = 512;
inline constexpr std::uint64_t kMaxTokenTable = 64 << 10;  // token_index holds 16-bit offsets
inline constexpr std::uint64_t kMaxSymbolNames = 32 << 20;

struct KallsymsTables {
  std::uint32_t count = 0;  // of symbols; from 1 to kMaxSymbols
  VirtAddr names;
  VirtAddr token_table;
  VirtAddr token_index;
  VirtAddr offsets;
  std::optional<VirtAddr> relative_base;
};

// One name of the compressed table.
struct PackedName {
  std::size_t header = 0;  // bytes of the length
  std::size_t size = 0;    // tokens that follow it
};

// What the first bytes of a name tell; nothing where they end in the length. The length is one
// byte, or two for the long names of Rust (v6.1, 73bbb94466fd).
std::optional<PackedName> packed_name(std::span<const std::uint8_t> bytes);

// What VMCOREINFO exports since v6.0 (5fd8fea935a1, f09bddbd8661). Errc::not_found where it does
// not, Errc::limit where the number of symbols is none that a kernel has.
Result<KallsymsTables> exported_kallsyms(const GuestKernel& kernel);

// Searches the kernel's image for the tables, from the beginning up to the first ones. Each token
// table has the strings "0" to "9" in a row; a token index that fits must follow it, and markers
// and names that fit must be before it. Returns the two places where the offsets may be: before the
// names and behind the token index. The caller must check them by a symbol that it knows.
// Errc::not_found if there are no tables. Tables with seqs_of_names before the token table are not
// found (v6.2, v6.3 and 6.1 of Debian, which has it backported): VMCOREINFO exports these.
Result<std::vector<KallsymsTables>> search_kallsyms(const GuestKernel& kernel);

}  // namespace vmcore::kernel
