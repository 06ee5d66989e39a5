// SPDX-License-Identifier: GPL-2.0-or-later
// The ORC tables of x86-64 kernels (arch/x86/include/asm/orc_types.h), in each of their forms.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "src/base/address.h"

namespace vmcore::testing {

enum class OrcStyle { before_6_3, of_6_3, since_6_4, since_7_1 };

struct OrcRow {
  VirtAddr code;             // from where on it holds
  std::string_view type;     // "undefined", "end", "call", "registers", "partial"
  std::string_view sp = "";  // "sp", "bp", "(sp)", "(bp)", "ax", "dx", "di", "r10", "r13"
  int sp_offset = 0;
  std::string_view bp = "";  // "prev" (the SP before), "bp", or unchanged
  int bp_offset = 0;
  bool signal = false;
};

struct OrcTables {
  std::vector<std::byte> addresses;
  std::vector<std::byte> entries;
};

// `at` is where the addresses will lie. Rows are in the order of their code.
OrcTables build_orc(const std::vector<OrcRow>& rows, OrcStyle style, VirtAddr at);

}  // namespace vmcore::testing
