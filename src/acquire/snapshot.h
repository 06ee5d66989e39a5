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

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "qmp/message.h"
#include "src/acquire/guest.h"

namespace vmcore::acquire {

// One name, so that a descriptor that was left behind by a client killed between getfd and its use
// is replaced by the next getfd.
inline constexpr const char* kSnapshotFdName = "vmcorectl-snapshot";

// A way to QEMU's monitor: its own socket, or through libvirt.
class SnapshotMonitor {
 public:
  virtual ~SnapshotMonitor() = default;
  // As qmp::Client::execute().
  virtual Result<qmp::Json> execute(const std::string& command,
                                    const qmp::Json& arguments = qmp::Json::object(),
                                    int fd = -1) = 0;
  // Makes sure that QEMU may write into the file, which is empty. It is so afterwards.
  virtual Result<> try_writing(int file) = 0;
  // The beginning of a dump of the guest: headers and notes.
  virtual Result<Fd> dump_header() = 0;
  // For how long the guest stood still since the monitor was asked last. `migration` is QEMU's
  // answer to query-migrate.
  virtual Result<Microseconds> paused(const qmp::Json& migration) = 0;
  // How large a file QEMU may write, where it is known.
  virtual std::uint64_t largest_file() const { return ~std::uint64_t{0}; }
};

// Errc::guest_state for a guest that stands still.
Result<> check_running(const GuestState& state);
// Errc::busy where a dump or a migration is going on in QEMU.
Result<> check_snapshot_idle(SnapshotMonitor& monitor);

// Begins. Everything that can be known before is checked before the guest is touched. Errc::busy
// or Errc::unsupported where QEMU is not in a state for it, or cannot. The monitor is borrowed by
// the lease, whose end() waits for the snapshot to be complete and undoes what was set.
Result<Acquired> begin_snapshot(SnapshotMonitor& monitor, const std::filesystem::path& folder);

// Undoes what a snapshot of ours left set that was killed. Call while nothing goes on. What was
// done.
Result<std::vector<Remark>> mend_snapshot(SnapshotMonitor& monitor);

}  // namespace vmcore::acquire
