// SPDX-License-Identifier: GPL-2.0-or-later
// ProcessNotes: what was found out about a QEMU, remembered while its process lives, so that the
// next program need not find it out again.
//
// There is a small file for each process and kind, in a private folder of the user. If it cannot be
// written or read, only time is lost, so nothing here fails.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "src/acquire/guest.h"

namespace vmcore::acquire {

class ProcessNotes {
 public:
  // In runtime_folder().
  static ProcessNotes of_user();
  // With an empty path nothing is remembered. A folder that others may read is not used.
  explicit ProcessNotes(std::filesystem::path folder) : folder_(std::move(folder)) {}

  // Empty where nothing is known. `kind`: a word of letters.
  std::string recall(const ProcessKey& process, std::string_view kind) const;
  // Also forgets processes that have ended.
  void remember(const ProcessKey& process, std::string_view kind, std::string_view text) const;

 private:
  void forget_the_dead() const;

  std::filesystem::path folder_;
};

// Of a guest whose memory is read in its process.
std::optional<ProcessKey> key_of(const Guest& guest);

}  // namespace vmcore::acquire
