// SPDX-License-Identifier: GPL-2.0-or-later
// A snapshot by QEMU: its migration capability background-snapshot (v6.0) pauses the guest for
// milliseconds, write-protects its RAM (userfaultfd), lets it run, and writes the RAM of that
// moment meanwhile.
//
// QEMU writes into a regular file, never into a pipe. If writing fails, QEMU and its guest hang for
// good: the thread of the snapshot waits for the main lock, and the main loop holds that lock while
// it waits for a page that the snapshot will not release (seen in v7.2 with a broken pipe and a
// full device). A file does not break when we are killed; its room is reserved before, and QEMU's
// right to write into it is tried before. For the same reason a running snapshot is never cancelled
// but waited for. A file in memory does not depend on a disk either; one on a disk has to be
// allowed.
#pragma once

#include <cstdint>
#include <filesystem>

#include "src/acquire/guest.h"
#include "src/acquire/selection.h"
#include "src/acquire/snapshot/monitor.h"

namespace vmcore::acquire {

// Errc::guest_state for a guest that does not run.
Result<> check_running(const GuestState& state);
// Errc::busy where a dump or a migration is going on in QEMU.
Result<> check_snapshot_idle(SnapshotMonitor& monitor);

// Where the stream goes: into memory, if no more than `memory` bytes are needed; else into
// `folder`, if that is allowed.
struct SpoolPlace {
  std::uint64_t memory = 0;
  std::filesystem::path folder;
  bool folder_allowed = false;
};
SpoolPlace spool_place(const Selection& selection);

// Begins. Everything that can be known before is checked before the guest is touched. Errc::busy or
// Errc::unsupported if QEMU is not in a state for it, or has no snapshots; Errc::limit if no place
// for the stream is allowed. The lease borrows the monitor; its end() waits until the snapshot is
// complete and restores the settings.
Result<Acquired> begin_snapshot(SnapshotMonitor& monitor, const SpoolPlace& place);

}  // namespace vmcore::acquire
