// What is set in QEMU for a snapshot: its capability, and no limit of bandwidth, for the guest
// waits for each page that it writes to before the snapshot has it.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "src/acquire/snapshot/monitor.h"
#include "src/base/result.h"

namespace vmcore::acquire {

class SnapshotSettings {
 public:
  // Looks at what is set; changes nothing. Errc::busy where somebody has set what would change the
  // stream, or what is ours to set; Errc::unsupported for a QEMU without snapshots.
  static Result<SnapshotSettings> look(SnapshotMonitor& monitor);

  // Errc::unsupported where QEMU or its host cannot; nothing is set then.
  Result<> apply(SnapshotMonitor& monitor) const;
  // Whether it is still so: somebody else's client may have undone it.
  Result<bool> applied(SnapshotMonitor& monitor) const;
  // As it was.
  Result<> undo(SnapshotMonitor& monitor) const;

  // What a snapshot of ours that was killed left set; nothing where there is none.
  static std::optional<SnapshotSettings> left_behind(SnapshotMonitor& monitor);

 private:
  explicit SnapshotSettings(std::uint64_t limit) : limit_(limit) {}

  std::uint64_t limit_;  // that was set before: bytes a second
};

// Undoes what a snapshot of ours that was killed left set. Call while nothing goes on. What was
// done.
Result<std::vector<Remark>> mend_snapshot(SnapshotMonitor& monitor);

}  // namespace vmcore::acquire
