// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/snapshot/snapshot.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <string>
#include <thread>
#include <utility>

#include "src/acquire/libvirt/dump_target.h"
#include "src/acquire/process/shared_memory.h"
#include "src/acquire/qmp/memory_map.h"
#include "src/acquire/snapshot/settings.h"
#include "src/base/sys.h"
#include "src/image/page.h"

namespace vmcore::acquire {
namespace {

using qmp::Json;
using std::chrono::milliseconds;

// A page of the stream has at most its flags, the length and the name of its block beside it.
constexpr std::uint64_t kMostPerPage = kPageSize + 8 + 1 + 255;
constexpr std::uint64_t kBesidePages = 128U << 20;  // the devices

// Dumps of some KiB take milliseconds; an overloaded host may take longer.
constexpr milliseconds kDumpTimeout{60'000};

struct Progress {
  std::string status;
  Json answer;
  bool over() const { return status == "completed" || status == "failed" || status == "cancelled"; }
};

Result<Progress> progress_of(SnapshotMonitor& monitor) {
  TRY_ASSIGN(Json answer, monitor.execute("query-migrate"));
  std::string status = qmp::text_member(answer, "status").value_or("none");
  return Progress{std::move(status), std::move(answer)};
}

// The same, while an overloaded QEMU answers slowly.
Result<Progress> progress_at_last(SnapshotMonitor& monitor) {
  constexpr int kMostTimes = 10;  // each of half a minute (qmp::kCommandTimeout)
  auto now = progress_of(monitor);
  for (int i = 1; i < kMostTimes && !now && now.error().code == Errc::busy; ++i) {
    now = progress_of(monitor);
  }
  return now;
}

Result<GuestState> state_of(SnapshotMonitor& monitor) {
  TRY_ASSIGN(const Json answer, monitor.execute("query-status"));
  return GuestState{.name = qmp::text_member(answer, "status").value_or("in no state"),
                    .running = qmp::bool_member(answer, "running").value_or(false)};
}

class SnapshotLease : public Lease {
 public:
  SnapshotLease(SnapshotMonitor& monitor, SnapshotSettings settings, Fd file)
      : monitor_(monitor), settings_(settings), file_(std::move(file)) {}

  Result<bool> over() override {
    if (!ran_again_) {
      const auto state = state_of(monitor_);
      ran_again_ = state && state->running;
    }
    TRY_ASSIGN(const Progress now, progress_at_last(monitor_));
    return now.over();
  }

  Result<Microseconds> end() override {
    auto last = progress_at_last(monitor_);
    while (last && !last->over()) {
      std::this_thread::sleep_for(milliseconds(20));
      last = progress_at_last(monitor_);
    }
    if (!last) {
      return fail(Errc::guest_state, "QEMU does not report how its snapshot ended: {}",
                  last.error().message);
    }
    const bool completed = last->status == "completed";
    const Result<> runs = completed ? Result<>() : let_run();  // first of all
    TRY(settings_.undo(monitor_));
    TRY(runs);
    if (!completed) {
      return fail(Errc::io, "QEMU's snapshot failed: {}",
                  qmp::text_member(last->answer, "error-desc").value_or(last->status));
    }
    TRY_ASSIGN(const std::uint64_t size, sys::file_size(file_.get()));
    TRY(sys::truncate(file_.get(), size));  // gives back what was reserved behind it
    return monitor_.paused(last->answer);
  }

 private:
  // QEMU does not resume a guest whose snapshot fails between its stop and its start. One that ran
  // since was stopped by somebody else.
  Result<> let_run() {
    TRY_ASSIGN(const GuestState now, state_of(monitor_));
    if (now.name == "paused" && !ran_again_) {
      TRY(monitor_.execute("cont"));
    }
    return {};
  }

  SnapshotMonitor& monitor_;
  SnapshotSettings settings_;
  Fd file_;
  bool ran_again_ = false;  // was seen to run since the snapshot began
};

// Room for the whole stream, so that QEMU cannot run out of it. `where`: for people.
Result<> reserve(int file, std::uint64_t size, const std::string& where) {
  while (::fallocate(file, FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(size)) != 0) {
    if (errno == EINTR) {
      continue;
    }
    if (errno == EOPNOTSUPP) {
      return fail(Errc::unsupported,
                  "the file system of {} cannot reserve room, and a snapshot that runs out of room "
                  "hangs the guest: give another folder with --spool",
                  where);
    }
    auto failed = fail_errno(errno, where);
    return fail(failed.value().code,
                "{}: the snapshot needs {} MiB of room while it is taken: make room, or give "
                "another folder with --spool",
                failed.value().message, size >> 20);
  }
  return {};
}

struct Spool {
  Fd file;
  std::string where;
};

Result<Spool> make_spool(SnapshotMonitor& monitor, std::uint64_t size, const SpoolPlace& place) {
  TRY_ASSIGN(const std::uint64_t growth, unallocated_shared_memory(monitor));
  if (size + growth <= place.memory) {
    TRY_ASSIGN(Fd file, make_memory_file("vmcorectl-snapshot"));
    return Spool{std::move(file), "memory"};
  }
  if (!place.folder_allowed) {
    return fail(Errc::limit,
                "a snapshot needs {} MiB of memory for its stream, and only {} MiB can be taken of "
                "this host (a quarter of what is available is left). With --allow-unbounded-pause "
                "it is written to {}: if that disk does not answer, QEMU hangs with its guest. Or "
                "use --consistency pause",
                (size + growth) >> 20, place.memory >> 20, place.folder.string());
  }
  TRY_ASSIGN(DumpTarget target, DumpTarget::make_file(place.folder));
  target.forget_path();
  return Spool{target.take(), place.folder.string()};
}

// Why QEMU cannot migrate, and so cannot make a snapshot; empty if it can.
Result<std::string> blocked(SnapshotMonitor& monitor) {
  TRY_ASSIGN(const Json answer, monitor.execute("query-migrate"));
  const auto reasons = answer.find("blocked-reasons");
  if (reasons == answer.end() || !reasons->is_array() || reasons->empty()) {
    return "";
  }
  return reasons->front().is_string() ? reasons->front().get<std::string>() : "no reason given";
}

Result<> check_blocked(SnapshotMonitor& monitor) {
  TRY_ASSIGN(const std::string reason, blocked(monitor));
  if (!reason.empty()) {
    return fail(Errc::unsupported,
                "QEMU cannot take a snapshot of this guest: {}; use --consistency pause", reason);
  }
  return {};
}

// QEMU accepts a migration only some time after it reports the end of a dump (QEMU dump/dump.c,
// dump_cleanup).
Result<> wait_for_dump(SnapshotMonitor& monitor) {
  const auto deadline = std::chrono::steady_clock::now() + kDumpTimeout;
  while (std::chrono::steady_clock::now() < deadline) {
    TRY_ASSIGN(const Json answer, monitor.execute("query-dump"));
    TRY_ASSIGN(const std::string reason, blocked(monitor));
    if (qmp::text_member(answer, "status") != "active" && reason.empty()) {
      return {};
    }
    std::this_thread::sleep_for(milliseconds(1));
  }
  return fail(Errc::busy, "QEMU's dump did not end in time");
}

// Whether QEMU migrates into a file by name: since v8.2; mapped-ram came with v9.0 and needs it.
Result<bool> takes_names(SnapshotMonitor& monitor) {
  TRY_ASSIGN(const Json list, monitor.execute("query-migrate-capabilities"));
  return list.is_array() && std::ranges::any_of(list, [](const Json& entry) {
           return qmp::text_member(entry, "capability") == "mapped-ram";
         });
}

// By its descriptor; by name where QEMU takes it so, for v11.0 refuses a descriptor of a file
// (migration/fd.c), and never closes what it refused. The name may be that of a set of descriptors
// (add-fd), of which QEMU duplicates one that can only be written.
Result<> migrate_into(SnapshotMonitor& monitor, int file) {
  TRY_ASSIGN(const bool by_name, takes_names(monitor));
  if (!by_name) {
    TRY(monitor.execute("getfd", {{"fdname", kSnapshotFdName}}, file));
    TRY(monitor.execute("migrate", {{"uri", fmt::format("fd:{}", kSnapshotFdName)}}));
    return {};
  }
  const Fd writable(::open(fmt::format("/proc/self/fd/{}", file).c_str(), O_WRONLY | O_CLOEXEC));
  if (!writable) {
    return fail_errno(errno, "the spool");
  }
  const Json set{{"fdset-id", kSnapshotFdSet}};
  static_cast<void>(monitor.execute("remove-fd", set));  // of a client that was killed here
  TRY(monitor.execute("add-fd", set, writable.get()));
  const auto begun =
      monitor.execute("migrate", {{"uri", fmt::format("file:/dev/fdset/{}", kSnapshotFdSet)}});
  static_cast<void>(monitor.execute("remove-fd", set));
  return begun.map([](const Json&) {});
}

// The capabilities of a running migration cannot be changed. A migration without our capability
// stops the guest in the end; unlike a snapshot it can be cancelled.
Result<> migrate(SnapshotMonitor& monitor, const SnapshotSettings& settings, int file) {
  TRY(migrate_into(monitor, file));
  TRY_ASSIGN(const bool snapshot, settings.applied(monitor));
  if (!snapshot) {
    TRY(monitor.execute("migrate_cancel"));
    return fail(Errc::busy,
                "somebody else changed QEMU's migration capabilities during the snapshot");
  }
  return {};
}

Result<std::string> ask_for_people(SnapshotMonitor& monitor, const char* command) {
  TRY_ASSIGN(const Json text,
             monitor.execute("human-monitor-command", {{"command-line", command}}));
  return text.is_string() ? text.get<std::string>() : "";
}

}  // namespace

Result<> check_running(const GuestState& state) {
  if (!state.running) {
    return fail(Errc::guest_state,
                "the guest is {}: it does not run, and needs no snapshot: use --consistency pause",
                state.name);
  }
  return {};
}

Result<> check_snapshot_idle(SnapshotMonitor& monitor) {
  TRY_ASSIGN(const Json dump, monitor.execute("query-dump"));
  TRY_ASSIGN(const Progress migration, progress_of(monitor));
  if (qmp::text_member(dump, "status") == "active" ||
      !(migration.over() || migration.status == "none")) {
    return fail(
        Errc::busy,
        "a dump, migration or snapshot of the guest is running in QEMU: wait until it ends");
  }
  return {};
}

SpoolPlace spool_place(const Selection& selection) {
  return {selection.spool_memory, selection.spool_folder, selection.allow_unbounded_pause};
}

Result<Acquired> begin_snapshot(SnapshotMonitor& monitor, const SpoolPlace& place) {
  TRY(check_blocked(monitor));
  TRY_ASSIGN(const SnapshotSettings settings, SnapshotSettings::look(monitor));
  TRY_ASSIGN(const std::string map, ask_for_people(monitor, "info mtree -f"));
  TRY_ASSIGN(auto places, parse_memory_map(map));
  TRY_ASSIGN(const std::string blocks, ask_for_people(monitor, "info ramblock"));
  TRY_ASSIGN(const std::uint64_t total, parse_block_total(blocks));
  const std::uint64_t most = total / kPageSize * kMostPerPage + kBesidePages;
  if (most > monitor.largest_file()) {
    return fail(Errc::unsupported,
                "QEMU may not write a file of {} MiB (its limit RLIMIT_FSIZE): raise that limit, "
                "or use --consistency pause",
                most >> 20);
  }
  TRY_ASSIGN(Spool spool, make_spool(monitor, most, place));
  Fd& file = spool.file;
  TRY(reserve(file.get(), most, spool.where));
  TRY_ASSIGN(Fd lease_file, duplicate(file.get()));

  TRY(settings.apply(monitor));
  const auto start = [&]() -> Result<Fd> {
    TRY(monitor.try_writing(file.get()));
    TRY(reserve(file.get(), most, spool.where));  // truncating it has given that back
    TRY_ASSIGN(Fd header, monitor.dump_header());
    TRY(wait_for_dump(monitor));
    // QEMU 7.2 resumes what it snapshots, and aborts where a guest that panicked would be stopped.
    TRY_ASSIGN(const GuestState now, state_of(monitor));
    TRY(check_running(now));
    TRY(migrate(monitor, settings, file.get()));
    // A file that is opened by name is truncated as well. What was there a moment ago is taken
    // back; where it is gone, it is too late for anything but to wait for the snapshot.
    static_cast<void>(reserve(file.get(), most, spool.where));
    return header;
  };
  Result<Fd> header = start();
  if (!header) {
    static_cast<void>(monitor.execute("closefd", {{"fdname", kSnapshotFdName}}));
    TRY(settings.undo(monitor));
    return tl::unexpected(std::move(header).error());
  }
  return Acquired{
      .input = sandbox::SnapshotInput{std::move(places)},
      .source = std::move(file),
      .lease = std::make_unique<SnapshotLease>(monitor, settings, std::move(lease_file)),
      .header = *std::move(header)};
}

}  // namespace vmcore::acquire
