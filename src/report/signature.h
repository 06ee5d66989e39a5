// SPDX-License-Identifier: GPL-2.0-or-later
// CrashSignature: it tells crashes apart (src/triage/signature.h). Reports and the manifests of
// stored crashes have it.
#pragma once

#include <string>

namespace vmcore::report {

// The same crashes have the same signatures. A text is empty if it is not known.
struct CrashSignature {
  std::string exact = {};   // hex; empty if no build-id or no stack is known
  std::string family = {};  // hex
  std::string title = {};   // guest; "NULL dereference in foo_bar [mod]"
  bool weak = false;        // do not take two crashes for the same because these are equal
  bool operator==(const CrashSignature&) const = default;
};

}  // namespace vmcore::report
