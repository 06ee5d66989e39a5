// SPDX-License-Identifier: GPL-2.0-or-later
// A snapshot of a running guest by its QEMU's own monitor (snapshot.h).
#pragma once

#include <memory>

#include "src/acquire/process/shared_memory.h"
#include "src/acquire/qmp/guest.h"
#include "src/acquire/snapshot/snapshot.h"

namespace vmcore::acquire {

class QmpSnapshotMonitor : public SnapshotMonitor {
 public:
  // Borrowed. Opened with QmpGuest::events().
  explicit QmpSnapshotMonitor(qmp::Client& client) : client_(client) {}

  Result<qmp::Json> execute(const std::string& command,
                            const qmp::Json& arguments = qmp::Json::object(),
                            int fd = -1) override {
    return client_.execute(command, arguments, qmp::kCommandTimeout, fd);
  }
  // By dumping a page of RAM into it.
  Result<> try_writing(int file) override;
  Result<Fd> dump_header() override;
  // Of the events STOP and RESUME: of the small dumps and of the snapshot itself.
  Result<Microseconds> paused(const qmp::Json& migration) override;
  std::uint64_t largest_file() const override;

 private:
  Result<> start_dump(int target, qmp::Json arguments);

  qmp::Client& client_;
};

class QmpSnapshotGuest : public QmpGuest {
 public:
  static Result<std::unique_ptr<QmpSnapshotGuest>> make(std::shared_ptr<qmp::Client> monitor,
                                                        SpoolPlace place);

  bool needs_spool(const GuestState&) const override { return true; }
  Result<std::uint64_t> growth() override { return unallocated_shared_memory(snapshots_); }
  // Errc::guest_state for a guest that stands still.
  Result<Acquired> acquire(const GuestState& state, const Patience& patience) override;

 private:
  QmpSnapshotGuest(std::shared_ptr<qmp::Client> monitor, std::string name, SpoolPlace place)
      : QmpGuest(std::move(monitor), std::move(name), {}),
        snapshots_(client()),
        place_(std::move(place)) {}

  QmpSnapshotMonitor snapshots_;
  SpoolPlace place_;
};

Result<std::unique_ptr<Guest>> open_qmp_snapshot(const Selection& selection);

}  // namespace vmcore::acquire
