// SPDX-License-Identifier: GPL-2.0-or-later
// CrashSignature: by what crashes are told apart (src/triage/signature.h), in a report and in the
// manifest of a stored crash.
#pragma once

#include <string>

namespace vmcore::report {

// Of crashes that are the same, the signatures are the same. Empty texts if that is not known.
struct CrashSignature {
  std::string exact = {};   // hex; empty if no build-id or no stack is known
  std::string family = {};  // hex
  std::string title = {};   // guest; "NULL dereference in foo_bar [mod]"
  bool weak = false;        // do not take two crashes for the same because these are equal
  bool operator==(const CrashSignature&) const = default;
};

}  // namespace vmcore::report
