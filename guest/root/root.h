// SPDX-License-Identifier: GPL-2.0-or-later
// Root: the file system of the guest to set up: "/", or the folder of --root, where an image is
// mounted. Paths are absolute as the guest sees them. No symbolic link leads out of the root.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "src/base/fd.h"
#include "src/base/result.h"
#include "src/base/whole_file.h"

namespace vmcore::guest::root {

class Root {
 public:
  static Result<Root> open(const std::string& folder);

  // Whether this is the running system, so that its kernel and its services can be queried.
  bool running() const { return running_; }

  // `flags` as for openat(2). Errc::not_found if the file does not exist.
  Result<Fd> open(std::string_view path, int flags, unsigned mode = 0) const;
  bool exists(std::string_view path) const;
  // The whole file (src/base/whole_file.h).
  Result<std::string> read(std::string_view path, std::size_t most = kMostRead) const;
  // The names in a folder, sorted, without "." and "..".
  Result<std::vector<std::string>> list(std::string_view path) const;

 private:
  Root(Fd folder, bool running) : folder_(std::move(folder)), running_(running) {}
  Fd folder_;
  bool running_;
};

}  // namespace vmcore::guest::root
