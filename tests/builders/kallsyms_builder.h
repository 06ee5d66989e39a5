// SPDX-License-Identifier: GPL-2.0-or-later
// The tables of kallsyms, as scripts/kallsyms.c of the kernel writes them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "src/base/address.h"

namespace vmcore::testing {

struct KallsymsStyle {
  // offsets, relative_base and num_syms before the names; since v6.4 behind the token index.
  bool offsets_first = true;
  // v7.0: each offset is relative to its own place; all is aligned to 4 bytes instead of 8.
  bool place_relative = false;
  // Names of 127 bytes and more have two bytes of length (v6.1), else they are left out.
  bool long_names = true;
};

struct KallsymsSymbol {
  std::string name;
  char type = 'D';
  VirtAddr address;  // below 2^31: an offset into per-CPU data
};

struct KallsymsImage {
  std::vector<std::byte> bytes;
  // Where each table begins in `bytes`: "kallsyms_names" and so on.
  std::map<std::string, std::uint64_t> places;
};

// For tables that lie at `at`, a multiple of 8. Symbols are sorted by address here.
KallsymsImage build_kallsyms(std::vector<KallsymsSymbol> symbols, KallsymsStyle style, VirtAddr at);

}  // namespace vmcore::testing
