// A snapshot by QEMU's own means: its migration capability background-snapshot (v6.0) stops the
// guest for milliseconds, write-protects its RAM (userfaultfd), lets it run, and writes the RAM of
// that moment while it does.
//
// QEMU writes into a regular file, never into a pipe. Where the writing fails on the way, QEMU
// hangs, and its guest with it, for good: the thread of the snapshot waits for the main lock, which
// the main loop holds while it waits for a page that the snapshot will not release (seen in v7.2
// with a broken pipe and a full device). A file in place of a pipe does not break when we are
// killed; its room is reserved before, and QEMU's right to write into it is tried before. For the
// same reason a snapshot that goes on is never cancelled but waited for.
#pragma once

#include <filesystem>

#include "src/acquire/guest.h"
#include "src/acquire/snapshot/monitor.h"

namespace vmcore::acquire {

// Errc::guest_state for a guest that stands still.
Result<> check_running(const GuestState& state);
// Errc::busy where a dump or a migration is going on in QEMU.
Result<> check_snapshot_idle(SnapshotMonitor& monitor);

// Begins. Everything that can be known before is checked before the guest is touched. Errc::busy
// or Errc::unsupported where QEMU is not in a state for it, or cannot. The monitor is borrowed by
// the lease, whose end() waits for the snapshot to be complete and undoes what was set.
Result<Acquired> begin_snapshot(SnapshotMonitor& monitor, const std::filesystem::path& folder);

}  // namespace vmcore::acquire
