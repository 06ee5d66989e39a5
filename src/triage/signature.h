// SPDX-License-Identifier: GPL-2.0-or-later
// Signatures tell which crashes are the same. A crash has two: the exact one is equal for the same
// crash of one kernel build, the family is equal for the same fault in other builds and versions.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "src/report/crash_class.h"
#include "src/report/triage.h"

namespace vmcore::triage {

// A frame of the stack that crashed, for a signature.
struct NamedFrame {
  std::string function;      // as kallsyms has it: "foo.isra.0"; empty: not known
  std::uint64_t offset = 0;  // bytes into the function
  std::string module = {};   // empty for the kernel itself
};

// Of the frames, innermost first, without those marked "?". `whole` says that nothing is missing at
// the stack's inner end, and that no frame is doubted. `build_id` may be empty. The signatures have
// 16 hexadecimal digits; they are weak if the stack is incomplete, or if none of its functions can
// be guilty.
report::CrashSignature signature_of(report::CrashClass crash, std::span<const NamedFrame> frames,
                                    bool whole, std::string_view build_id);

// The name that the function has in the source: without what compilers append (".isra.0",
// ".constprop.0", ".part.3", ".cold", ".llvm.123").
std::string_view source_name(std::string_view function);

// The class that the names of a stack tell, innermost first, for a dump whose log is missing;
// CrashClass::unknown where they tell nothing.
report::CrashClass class_of_stack(std::span<const std::string_view> functions);

}  // namespace vmcore::triage
