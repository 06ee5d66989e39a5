// SPDX-License-Identifier: GPL-2.0-or-later
// PanicStack: the memory and registers of the stack on which a kernel died, by which debug
// information tells the arguments of its functions (--symbols). It is no part of a report, and is
// not kept: it holds the guest's own bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/result.h"
#include "src/report/triage.h"

namespace vmcore::report {

// Of a frame of the stack, the innermost one first.
struct FrameState {
  std::uint64_t address = 0;
  std::uint64_t sp = 0;  // the stack pointer at that address
  // Where all of them are known: of the CPU, or saved by an exception.
  std::vector<NamedRegister> registers = {};
};

struct StackPart {
  std::uint64_t address = 0;
  std::vector<std::uint64_t> words = {};
};

inline constexpr std::size_t kMaxStackParts = kMaxFrames;
inline constexpr std::size_t kMaxStackWords = 8192;  // of all parts

struct PanicStack {
  std::uint64_t stack = 0;  // in TriageReport::stacks, whose frames these are
  std::vector<FrameState> frames = {};
  std::vector<StackPart> parts = {};

  // The bytes there, at most 8, as a number; nothing where they are not known.
  std::optional<std::uint64_t> read(std::uint64_t address, std::uint64_t size) const;
};

std::string to_json(const PanicStack& stack);
// Errc::malformed where the text is no such document, or says what cannot be.
Result<PanicStack> panic_stack_from_json(std::string_view text);

}  // namespace vmcore::report
