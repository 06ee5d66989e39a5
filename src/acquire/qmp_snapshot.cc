#include "src/acquire/qmp_snapshot.h"

#include <sys/resource.h>

#include <algorithm>
#include <utility>

#include "qmp/connect.h"
#include "qmp/unix_peers.h"

namespace vmcore::acquire {
namespace {

constexpr qmp::Milliseconds kResumeTimeout{10'000};

}  // namespace

Result<Microseconds> QmpSnapshotMonitor::paused(const qmp::Json&) {
  Microseconds sum{};
  while (true) {
    TRY_ASSIGN(const auto stopped, client_.take_event("STOP"));
    if (!stopped) {
      return sum;
    }
    TRY_ASSIGN(const qmp::Event resumed, client_.wait_event("RESUME", kResumeTimeout));
    sum += std::max(Microseconds{}, resumed.time - stopped->time);
  }
}

std::uint64_t QmpSnapshotMonitor::largest_file() const {
  const auto peer = qmp::listener_of(client_.fd());
  rlimit limit{};
  const bool known =
      peer && peer->pid > 0 && ::prlimit(peer->pid, RLIMIT_FSIZE, nullptr, &limit) == 0;
  return known ? limit.rlim_cur : RLIM_INFINITY;
}

Result<std::unique_ptr<QmpSnapshotGuest>> QmpSnapshotGuest::make(qmp::Client monitor,
                                                                 std::filesystem::path folder) {
  TRY_ASSIGN(std::string name, name_of_guest(monitor));
  return std::unique_ptr<QmpSnapshotGuest>(
      new QmpSnapshotGuest(std::move(monitor), std::move(name), std::move(folder)));
}

Result<Acquired> QmpSnapshotGuest::acquire(const GuestState& state) {
  TRY(check_running(state));
  TRY(client().drop_events());
  return begin_snapshot(snapshots_, folder_);
}

Result<std::unique_ptr<Guest>> open_qmp_snapshot(const Selection& selection) {
  TRY_ASSIGN(qmp::Client monitor, qmp::connect(selection.socket, {.events = QmpGuest::events()}));
  TRY_ASSIGN(std::unique_ptr<Guest> guest,
             QmpSnapshotGuest::make(std::move(monitor), selection.spool_folder));
  return guest;
}

}  // namespace vmcore::acquire
