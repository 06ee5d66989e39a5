// SPDX-License-Identifier: GPL-2.0-or-later
// Expressions of DWARF (version 5, section 2.5) on the stack of a guest, and the registers of
// callers.
#pragma once

#include <elfutils/libdw.h>

#include <cstdint>
#include <optional>
#include <span>

#include "src/debuginfo/code_lines.h"

namespace vmcore::debuginfo {

// What expressions are evaluated with. Memory is that of the stack.
struct CodeState {
  CodeRegisters registers = {};
  std::optional<std::uint64_t> cfa = {};         // the stack pointer of the caller
  std::optional<std::uint64_t> frame_base = {};  // of DW_OP_fbreg
  const report::PanicStack* memory = nullptr;    // null: none is known
};

// The value of `size` bytes (at most 8) at a location. Nothing where a part of the value is not
// known, or where the location has an operation that this code does not know.
std::optional<std::uint64_t> value_of(std::span<const Dwarf_Op> location, const CodeState& state,
                                      std::uint64_t size);

// The frame at an address by the call frame information: `cfa` of the state is filled in. The
// result is the registers of the caller, the return address as rip; nothing where there is no such
// information. Registers that a function may change are not known in its caller.
std::optional<CodeRegisters> unwind(Dwarf_CFI* information, Dwarf_Addr address, CodeState& state);

}  // namespace vmcore::debuginfo
