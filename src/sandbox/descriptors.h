// SPDX-License-Identifier: GPL-2.0-or-later
// The descriptors beside a request, by name (messages.h).
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "src/base/fd.h"
#include "src/base/result.h"

namespace vmcore::sandbox {

// Borrowed, on its way to a worker.
struct NamedFd {
  std::string_view name;
  int fd = -1;
};

// What came with a request, at the worker's end.
class Descriptors {
 public:
  // As many names as descriptors, no name twice; else Errc::malformed.
  static Result<Descriptors> make(const std::vector<std::string>& names, std::vector<Fd> fds);

  // Gives the descriptor away. One that did not come is Errc::malformed.
  Result<Fd> take(std::string_view name);
  // The same, where it may be missing: that is no descriptor then.
  Fd take_if_there(std::string_view name);

 private:
  std::vector<std::pair<std::string, Fd>> fds_;
};

}  // namespace vmcore::sandbox
