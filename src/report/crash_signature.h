// SPDX-License-Identifier: GPL-2.0-or-later
// Signature: tells which crashes are the same (src/triage/signature.h). It stands in the manifests
// of a store and in the events of a job.
#pragma once

#include <string>

namespace vmcore::report {

// Empty texts where that is not known.
struct Signature {
  std::string exact = {};
  std::string family = {};
  std::string title = {};  // one line for people; the guest's words
  bool weak = false;       // two crashes with it need not be the same
  bool operator==(const Signature&) const = default;
};

}  // namespace vmcore::report
