// SPDX-License-Identifier: GPL-2.0-or-later
// PlaceCache: remembers, while the process of a guest lives, where the VMCOREINFO of its kernel was
// found, so that the next look at the guest need not search its memory.
//
// It is a hint in a note (acquire/process/process_notes.h), which the worker validates
// (kernel/guest_kernel.h).
#pragma once

#include <optional>
#include <utility>

#include "src/acquire/guest.h"
#include "src/acquire/process/process_notes.h"
#include "src/sandbox/messages.h"

namespace vmcore::job {

class PlaceCache {
 public:
  explicit PlaceCache(acquire::ProcessNotes notes) : notes_(std::move(notes)) {}

  std::optional<InfoPlace> recall(const acquire::ProcessKey& process) const;
  void remember(const acquire::ProcessKey& process, const InfoPlace& place) const;

 private:
  acquire::ProcessNotes notes_;
};

// Both by the cache of this user.
std::optional<InfoPlace> recall_place(const acquire::Guest& guest);
void remember_place(const acquire::Guest& guest, const std::optional<InfoPlace>& place);

}  // namespace vmcore::job
