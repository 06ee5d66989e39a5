// SPDX-License-Identifier: GPL-2.0-or-later
// What a store may take, which crashes go where it takes more, and of which crashes memory is kept.
// Pure functions: of what is stored, the limits, and the time.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "src/report/manifest.h"

namespace vmcore::vault {

// What one guest may take. Nothing: there is no limit.
struct GuestLimits {
  std::optional<std::uint64_t> bytes = {};
  std::optional<std::uint64_t> count = {};  // crashes
};

// The limits of a store. Nothing: there is none.
struct Budget {
  std::optional<std::uint64_t> bytes = {};
  std::optional<unsigned> share = {};            // percent of the file system that it takes
  std::optional<std::uint64_t> free_bytes = {};  // that stay free on the file system
  std::optional<unsigned> free_share = {};       // percent of it that stay free
  std::optional<std::uint64_t> count = {};       // crashes
  std::optional<std::chrono::seconds> age = {};
  // Of each guest.
  std::optional<std::uint64_t> guest_bytes = {};
  std::optional<std::uint64_t> guest_count = {};
  // Where it is not empty, what holds for the guest of that name and UUID in place of these two.
  std::function<GuestLimits(const std::string& name, const std::string& uuid)> of_guest = {};

  GuestLimits limits_of(const std::string& name, const std::string& uuid) const {
    return of_guest ? of_guest(name, uuid) : GuestLimits{guest_bytes, guest_count};
  }
};

// Where nobody says otherwise: half of the file system, a tenth of which stays free. A crash loop
// that lasts for days is no longer a list than that.
inline const Budget kUsualBudget{.share = 50, .free_share = 10, .guest_count = 1000};

// Whose crash. Names of guests without libvirt need not differ, so the QMP socket counts as well
// where the guest was reached by one.
struct GuestKey {
  std::string name = {};
  std::string from = {};  // the socket; empty: none
  auto operator<=>(const GuestKey&) const = default;
};

// A crash as its removal is judged.
struct Stored {
  std::string id = {};
  std::uint64_t number = 0;  // crash_id.h: the newest has the highest
  std::uint64_t time = 0;    // of the host's clock, seconds since the epoch
  std::uint64_t bytes = 0;
  GuestKey guest = {};
  std::string uuid = {};       // of the guest; empty: not known
  std::string signature = {};  // exact; empty: not known, or weak
  bool dumped = false;         // a dump is in it
  bool full = false;           // and is complete
  bool held = false;
  bool busy = false;  // somebody reads it
};

GuestKey guest_of(const report::Manifest& manifest);
Stored stored_of(const report::ListedCrash& crash);
// The exact signature; empty where it is weak or not known.
std::string strong_signature(const report::CrashSignature& signature);

// The file system of the store, in bytes. `promised` is the room that dumps will take that are
// being written.
struct Space {
  std::uint64_t total = 0;
  std::uint64_t free = 0;
  std::uint64_t promised = 0;
};

// A dump that is about to be written.
struct Wanted {
  std::uint64_t bytes = 0;  // an estimate
  GuestKey guest = {};
};

struct Choice {
  std::vector<std::string> remove = {};  // IDs, in the order of removal
  std::string exceeded = {};  // the limit that is exceeded all the same; empty: all are met
};

// What goes so that the limits hold with the dump that is wanted. Held crashes, those that are
// being read, and the newest never go. Of the others the first full dump of each signature goes
// last; else the guest that takes most loses its oldest. Nothing goes for a dump that would exceed
// a limit all the same.
Choice choose(std::span<const Stored> stored, const Budget& budget, const Space& space,
              const std::optional<Wanted>& wanted, std::uint64_t now);

// Of which crashes memory is kept; what is small is always kept.
struct MemoryPolicy {
  // After a full dump a repeat (of the same signature and guest) gets none.
  std::chrono::seconds repeat_window{24 * 3600};
  // The most dumps in a window, complete or not: of a guest, and of a signature whatever the guest.
  std::chrono::seconds rate_window{3600};
  std::uint64_t guest_most = 4;
  std::uint64_t signature_most = 4;
};

struct MemoryVerdict {
  bool keep = true;
  std::string why = {};  // not
};

// `signature`: exact; empty: not known, or weak.
MemoryVerdict should_keep_memory(std::span<const Stored> stored, const std::string& signature,
                                 const GuestKey& guest, std::uint64_t now,
                                 const MemoryPolicy& policy);

}  // namespace vmcore::vault
