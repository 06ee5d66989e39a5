// PlaceCache: remembers, as long as the process of a guest lives, where the VMCOREINFO of its
// kernel was found, so that the next look at the guest need not search its memory.
//
// A file for each process, in a folder that is private to the user. What it says is a hint: the
// worker validates it (kernel/guest_kernel.h). Where it cannot be kept or read nothing is lost but
// time, so nothing here fails.
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
  // An empty path: nothing is remembered. A folder that others may look into is not used.
  explicit PlaceCache(std::filesystem::path folder) : folder_(std::move(folder)) {}

  std::optional<InfoPlace> recall(const acquire::ProcessKey& process) const;
  // Also forgets what belongs to processes that are gone.
  void remember(const acquire::ProcessKey& process, const InfoPlace& place) const;

 private:
  void forget_the_dead() const;

  std::filesystem::path folder_;
};

// Both by the cache of this user.
std::optional<InfoPlace> recall_place(const acquire::Guest& guest);
void remember_place(const acquire::Guest& guest, const std::optional<InfoPlace>& place);

}  // namespace vmcore::job
