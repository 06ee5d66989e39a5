// SPDX-License-Identifier: GPL-2.0-or-later
// HookMarks: the crashes whose hooks have not all ended yet, so that the next start runs the hooks
// that this one did not: a folder with a file for each, whose name is the ID of the crash. It has
// the names of the hooks that have ended, one a line.
//
// Syncs: for the background.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "src/base/result.h"

namespace vmcore::daemon {

struct HookMark {
  std::string crash = {};               // ID
  std::vector<std::string> ended = {};  // hooks
  bool operator==(const HookMark&) const = default;
};

class HookMarks {
 public:
  // `folder`: is made when there is something to mark.
  explicit HookMarks(std::filesystem::path folder) : folder_(std::move(folder)) {}

  Result<> set(const std::string& crash) const;
  // One of its hooks has ended. Does nothing for a crash that is not marked.
  Result<> note_ended(const std::string& crash, const std::string& hook) const;
  Result<> remove(const std::string& crash) const;
  // The oldest first.
  std::vector<HookMark> all() const;

 private:
  std::filesystem::path folder_;
};

}  // namespace vmcore::daemon
