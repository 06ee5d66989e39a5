// SPDX-License-Identifier: GPL-2.0-or-later
// PlaceCache: remembers, while the process of a guest lives, where the VMCOREINFO of its kernel was
// found, so that the next look at the guest need not search its memory.
//
// There is a file for each process, in a private folder of the user. Its contents are a hint, which
// the worker validates (kernel/guest_kernel.h). If it cannot be written or read, only time is lost,
// so nothing here fails.
#pragma once

#include <filesystem>
#include <optional>

#include "src/acquire/guest.h"
#include "src/sandbox/messages.h"

namespace vmcore::job {

class PlaceCache {
 public:
  // In runtime_folder().
  static PlaceCache of_user();
  // With an empty path nothing is remembered. A folder that others may read is not used.
  explicit PlaceCache(std::filesystem::path folder) : folder_(std::move(folder)) {}

  std::optional<InfoPlace> recall(const acquire::ProcessKey& process) const;
  // Also forgets entries of processes that have ended.
  void remember(const acquire::ProcessKey& process, const InfoPlace& place) const;

 private:
  void forget_the_dead() const;

  std::filesystem::path folder_;
};

// Both by the cache of this user.
std::optional<InfoPlace> recall_place(const acquire::Guest& guest);
void remember_place(const acquire::Guest& guest, const std::optional<InfoPlace>& place);

}  // namespace vmcore::job
