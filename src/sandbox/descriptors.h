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

// The descriptors that the worker received with a request.
class Descriptors {
 public:
  // Errc::malformed if the numbers of names and descriptors differ, or two names are equal.
  static Result<Descriptors> make(const std::vector<std::string>& names, std::vector<Fd> fds);

  // Borrowed: its number, -1 if it did not come.
  int look_at(std::string_view name) const;
  // Gives the descriptor away. Errc::malformed if it did not come with the request.
  Result<Fd> take(std::string_view name);
  // The same for an optional descriptor; an empty Fd if it did not come.
  Fd take_if_there(std::string_view name);

 private:
  std::vector<std::pair<std::string, Fd>> fds_;
};

}  // namespace vmcore::sandbox
