// SPDX-License-Identifier: GPL-2.0-or-later
// How a kernel came to its end, by the last words of its log: for a guest that stopped before it
// reset or powered off.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "src/acquire/selection.h"
#include "src/base/result.h"

namespace vmcore::job {

enum class KernelEnd : std::uint8_t {
  panicked,  // it says so
  oopsed,    // it says that it hit a bug, and not that it ends
  orderly,   // it says that it restarts, halts or powers off
  silent,    // it says nothing: a triple fault, for one
};
std::string_view end_name(KernelEnd end);  // "panicked"
std::optional<KernelEnd> end_from_name(std::string_view name);

struct KernelEnding {
  KernelEnd end = KernelEnd::silent;
  std::string line = {};    // of the log, that says so; untrusted
  bool powers_off = false;  // an orderly end that is not followed by a reset
};

// A panic counts wherever it is in the log: the restart that follows is not announced.
KernelEnding ending_of(std::string_view log);

// Looks at the guest, which is not touched. Errc::not_found where no kernel is in its memory. With
// `await`, gets ready first, and looks when that has returned: as read_guest_later().
Result<KernelEnding> look_at_end(const acquire::Selection& guest,
                                 const std::function<Result<>()>& await = {});

}  // namespace vmcore::job
