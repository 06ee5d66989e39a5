// SPDX-License-Identifier: GPL-2.0-or-later
// How a guest fared that was held for a dump or a look.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "src/acquire/guest.h"
#include "src/acquire/selection.h"
#include "src/base/result.h"

namespace vmcore::job {

// How the guest fared.
struct GuestReport {
  std::string name;
  GuestIdentity identity = {};
  std::string handle;  // what commands take for no other guest (acquire/commands.h)
  acquire::Method method = acquire::Method::direct;  // that was taken
  std::vector<Remark> remarks;                       // why no better one
  std::uint64_t memory_size = 0;                     // bytes of RAM
  acquire::GuestState before;
  std::optional<acquire::GuestState> after;       // the dump, before `then`; empty: not to be seen
  std::string why_unseen = {};                    // where there is no `after`
  std::string consistency;                        // "stopped" (it did not run), "pause" or "torn"
  std::optional<acquire::Microseconds> forecast;  // of the pause, where one was expected
  std::optional<acquire::Microseconds> pause;     // zero where it stood still already
  std::optional<std::uint64_t> time;              // of its memory, seconds since the epoch
  std::optional<acquire::Microseconds>
      duration;                             // from the attempt's begin until the dump was kept
  std::optional<std::int64_t> host_memory;  // bytes by which its process grew meanwhile
  std::optional<Error> then_error;
  bool then_done = false;

  // It is in the state it was found in, or was brought into the one that was asked for.
  bool as_expected() const { return after == before && !then_error; }
};

// Of this host; empty if the kernel does not tell.
std::string node_name();

// What the dump's note has of it.
CaptureCost cost_of(const GuestReport& report);

// Records how the guest is after its dump.
void see_after(acquire::Guest& guest, GuestReport& report);

// Begins the report of a guest that can be held now; what a dump that was killed left is mended.
// Errc::unsupported and Errc::busy as check_readable() and check_idle() of acquire/guest.h.
Result<GuestReport> look_at(acquire::Guest& guest);

}  // namespace vmcore::job
