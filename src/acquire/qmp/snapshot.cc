// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/qmp/snapshot.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "qmp/unix_peers.h"
#include "src/acquire/dump_header.h"
#include "src/acquire/qmp/monitor.h"
#include "src/base/sys.h"
#include "src/image/page.h"

namespace vmcore::acquire {
namespace {

constexpr qmp::Milliseconds kResumeTimeout{10'000};

}  // namespace

Result<> QmpSnapshotMonitor::start_dump(int target, qmp::Json arguments) {
  TRY(execute("getfd", {{"fdname", kSnapshotFdName}}, target));
  arguments["paging"] = false;
  arguments["protocol"] = fmt::format("fd:{}", kSnapshotFdName);
  if (auto started = execute("dump-guest-memory", arguments); !started) {
    static_cast<void>(execute("closefd", {{"fdname", kSnapshotFdName}}));
    return tl::unexpected(std::move(started).error());
  }
  return {};
}

Result<> QmpSnapshotMonitor::try_writing(int file) {
  if (Result<> written = start_dump(file, {{"begin", 0}, {"length", kPageSize}}); !written) {
    return in_context(std::move(written).error(), "QEMU cannot write into the spool");
  }
  TRY_ASSIGN(const std::uint64_t size, sys::file_size(file));
  // QEMU shares the file's position.
  if (size < kPageSize || ::lseek(file, 0, SEEK_SET) != 0) {
    return fail(Errc::unsupported, "QEMU did not write into the spool");
  }
  return sys::truncate(file, 0);
}

Result<Fd> QmpSnapshotMonitor::dump_header() {
  TRY_ASSIGN(lease::Holder holder, lease::Holder::start(header_terms()));
  Fd pipe = holder.take_writing_end();
  TRY(start_dump(pipe.get(), {{"detach", true}}));
  pipe.reset();
  // The lease is dropped on return. That ends QEMU's dump, with an error that is expected.
  return read_dump_header(holder.take_relay().get());
}

Result<Microseconds> QmpSnapshotMonitor::paused(const qmp::Json&) {
  Microseconds sum{};
  while (true) {
    TRY_ASSIGN(const auto stopped, client_.take_event("STOP"));
    if (!stopped) {
      return sum;
    }
    const auto resumed = client_.wait_event("RESUME", kResumeTimeout);
    if (!resumed && resumed.error().code == Errc::busy) {
      return sum;  // somebody else stopped it since, or it panicked
    }
    if (!resumed) {
      return tl::unexpected(resumed.error());
    }
    sum += std::max(Microseconds{}, resumed->time - stopped->time);
  }
}

std::uint64_t QmpSnapshotMonitor::largest_file() const {
  const auto peer = qmp::listener_of(client_.fd());
  rlimit limit{};
  const bool known =
      peer && peer->pid > 0 && ::prlimit(peer->pid, RLIMIT_FSIZE, nullptr, &limit) == 0;
  return known ? limit.rlim_cur : RLIM_INFINITY;
}

Result<std::unique_ptr<QmpSnapshotGuest>> QmpSnapshotGuest::make(
    std::shared_ptr<qmp::Client> monitor, SpoolPlace place) {
  TRY_ASSIGN(std::string name, name_of_guest(*monitor));
  return std::unique_ptr<QmpSnapshotGuest>(
      new QmpSnapshotGuest(std::move(monitor), std::move(name), std::move(place)));
}

Result<Acquired> QmpSnapshotGuest::acquire(const GuestState& state, const Patience&) {
  TRY(check_running(state));
  TRY(client().drop_events());
  return begin_snapshot(snapshots_, place_);
}

Result<std::unique_ptr<Guest>> open_qmp_snapshot(const Selection& selection) {
  TRY_ASSIGN(auto monitor, open_monitor(selection, QmpGuest::events()));
  TRY_ASSIGN(auto guest, QmpSnapshotGuest::make(std::move(monitor), spool_place(selection)));
  guest->find_keys(selection.socket);
  return guest;
}

}  // namespace vmcore::acquire
