// SPDX-License-Identifier: GPL-2.0-or-later
// ProcessNotes: a short text for each process of a guest, while that process lives: a file each, in
// a private folder of the user.
//
// If a note cannot be written or read, there is none: nothing here fails. Who reads one checks it.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "src/acquire/guest.h"

namespace vmcore::job {

class ProcessNotes {
 public:
  // With an empty path nothing is remembered. A folder that others may read is not used.
  explicit ProcessNotes(std::filesystem::path folder) : folder_(std::move(folder)) {}

  // At most 4 KiB of it.
  std::optional<std::string> recall(const acquire::ProcessKey& process) const;
  // Makes the folder where it is missing. Also forgets notes of processes that have ended.
  void remember(const acquire::ProcessKey& process, const std::string& text) const;

 private:
  void forget_the_dead() const;

  std::filesystem::path folder_;
};

// Of a guest whose memory is read in its process.
std::optional<acquire::ProcessKey> key_of(const acquire::Guest& guest);

}  // namespace vmcore::job
