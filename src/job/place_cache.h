// SPDX-License-Identifier: GPL-2.0-or-later
// PlaceCache: remembers, while the process of a guest lives, where the VMCOREINFO of its kernel was
// found, so that the next look at the guest need not search its memory.
//
// It is a note (process_notes.h), and a hint, which the worker validates (kernel/guest_kernel.h).
// If it cannot be written or read, only time is lost.
#pragma once

#include <filesystem>
#include <optional>

#include "src/acquire/guest.h"
#include "src/job/process_notes.h"
#include "src/sandbox/messages.h"

namespace vmcore::job {

class PlaceCache {
 public:
  // In runtime_folder().
  static PlaceCache of_user();
  // With an empty path nothing is remembered. A folder that others may read is not used.
  explicit PlaceCache(std::filesystem::path folder) : notes_(std::move(folder)) {}

  std::optional<InfoPlace> recall(const acquire::ProcessKey& process) const;
  void remember(const acquire::ProcessKey& process, const InfoPlace& place) const;

 private:
  ProcessNotes notes_;
};

// Both by the cache of this user.
std::optional<InfoPlace> recall_place(const acquire::Guest& guest);
void remember_place(const acquire::Guest& guest, const std::optional<InfoPlace>& place);

}  // namespace vmcore::job
