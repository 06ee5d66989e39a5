// SPDX-License-Identifier: GPL-2.0-or-later
// QEMU's settings for a snapshot: its capability, and no bandwidth limit, because the guest waits
// for each page that it writes to until the snapshot has it.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "src/acquire/snapshot/monitor.h"
#include "src/base/result.h"

namespace vmcore::acquire {

class SnapshotSettings {
 public:
  // Reads the settings and changes nothing. Errc::busy if somebody has set something that would
  // change the stream, or that we have to set; Errc::unsupported for a QEMU without snapshots.
  static Result<SnapshotSettings> look(SnapshotMonitor& monitor);

  // Errc::unsupported where QEMU or its host cannot; nothing is set then.
  Result<> apply(SnapshotMonitor& monitor) const;
  // Whether the settings are still there: another client may have changed them.
  Result<bool> applied(SnapshotMonitor& monitor) const;
  // As it was.
  Result<> undo(SnapshotMonitor& monitor) const;

  // The settings that an earlier snapshot of ours left when it was killed; nothing if there are
  // none.
  static std::optional<SnapshotSettings> left_behind(SnapshotMonitor& monitor);

 private:
  explicit SnapshotSettings(std::uint64_t limit) : limit_(limit) {}

  std::uint64_t limit_;  // that was set before: bytes a second
};

// Restores the settings that an earlier snapshot of ours left when it was killed. Call while
// nothing else runs. Returns what was done.
Result<std::vector<Remark>> mend_snapshot(SnapshotMonitor& monitor);

}  // namespace vmcore::acquire
