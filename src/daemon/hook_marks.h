// SPDX-License-Identifier: GPL-2.0-or-later
// HookMarks: the crashes whose hooks have not ended yet, so that the next start runs the hooks that
// this one did not: a folder with an empty file for each, whose name is the ID of the crash.
//
// Syncs: for the background.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "src/base/result.h"

namespace vmcore::daemon {

class HookMarks {
 public:
  // `folder`: is made when there is something to mark.
  explicit HookMarks(std::filesystem::path folder) : folder_(std::move(folder)) {}

  Result<> set(const std::string& crash) const;
  Result<> remove(const std::string& crash) const;
  // The oldest first.
  std::vector<std::string> all() const;

 private:
  std::filesystem::path folder_;
};

}  // namespace vmcore::daemon
