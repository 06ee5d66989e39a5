// SPDX-License-Identifier: GPL-2.0-or-later
// What DWARF says of addresses in code: file, line, inlined functions, arguments.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "src/base/result.h"
#include "src/report/panic_stack.h"
#include "src/report/triage.h"

namespace vmcore::debuginfo {

// A file with debug information, a kernel or a module, as an open descriptor.
struct CodeFile {
  int fd = -1;
  int alternate = -1;  // the file of its .gnu_debugaltlink; -1: none
};

// Of x86-64, by their numbers in DWARF (System V ABI, AMD64 supplement, figure 3.36).
using CodeRegisters = std::array<std::optional<std::uint64_t>, 17>;

// An address of the guest. The symbol tells where it is in the file: KASLR and the place of a
// module are not in there.
struct CodeAddress {
  std::uint64_t address = 0;
  std::string function = {};  // guest
  std::uint64_t offset = 0;   // of the address in the function
  bool is_return = true;      // the call before it is meant
  CodeRegisters registers = {};
  std::optional<std::size_t> frame = {};  // its number in the stack whose memory is known
};

struct CodeFacts {
  // The inlined functions first, the innermost one before all; empty: it is not known.
  std::vector<report::SourceLine> lines = {};
  std::vector<report::Argument> arguments = {};
};

// The registers by their names ("rax").
CodeRegisters registers_by_name(const std::vector<report::NamedRegister>& named);

// The facts of each address, in their order. Arguments of frames of `stack` are told where the
// caller's registers are proven: the unwound return address and stack pointer are those of the
// frame. Frames of `stack` come in its order. It believes no file, but libdw parses what anybody
// may have made: call it in a confined process (confined.h).
Result<std::vector<CodeFacts>> look_up(const CodeFile& file, std::span<const CodeAddress> addresses,
                                       const report::PanicStack& stack = {});

}  // namespace vmcore::debuginfo
