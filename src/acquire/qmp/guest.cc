// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/qmp/guest.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <utility>
#include <vector>

#include "qmp/unix_peers.h"
#include "src/acquire/dump_header.h"
#include "src/acquire/process/challenge.h"
#include "src/acquire/qmp/lease.h"
#include "src/acquire/qmp/monitor.h"
#include "src/acquire/qmp/monitor_map.h"
#include "src/acquire/qmp/process.h"
#include "src/acquire/qmp/registers.h"
#include "src/acquire/qmp/setup.h"
#include "src/acquire/qmp/snapshot.h"
#include "src/acquire/qmp/whose.h"
#include "src/acquire/snapshot/settings.h"
#include "src/base/range_set.h"
#include "src/image/page.h"

namespace vmcore::acquire {
namespace {

using qmp::Json;
using qmp::Milliseconds;

// One name, so that a descriptor that was left behind by a client killed between getfd and its use
// is replaced by the next getfd, not joined.
constexpr const char* kFdName = "vmcorectl-dump";
constexpr Milliseconds kResumeTimeout{10'000};
// QEMU's migration states in which nothing goes on (qapi/migration.json, MigrationStatus).
constexpr std::array<std::string_view, 4> kIdleMigration{"none", "completed", "failed",
                                                         "cancelled"};

Execute executor(qmp::Client& monitor) {
  return [&monitor](const std::string& command, const Json& arguments) {
    return monitor.execute(command, arguments);
  };
}

Result<> wait_for_hangup(int socket) {
  pollfd wait{socket, 0, 0};  // its end is always told of
  int ready = 0;
  do {
    ready = ::poll(&wait, 1, static_cast<int>(kDumpTimeout.count()));
  } while (ready < 0 && errno == EINTR);
  return ready > 0 ? Result<>()
                   : fail(Errc::busy, "QEMU did not end its dump after the pipe was closed");
}

}  // namespace

std::vector<std::string> QmpGuest::events() {
  return {"DUMP_COMPLETED", "RESET", "RESUME", "STOP"};
}

Result<std::unique_ptr<QmpGuest>> QmpGuest::make(std::shared_ptr<qmp::Client> monitor,
                                                 std::optional<GuestProcess> process) {
  TRY_ASSIGN(std::string name, name_of_guest(*monitor));
  return std::unique_ptr<QmpGuest>(
      new QmpGuest(std::move(monitor), std::move(name), std::move(process)));
}

Result<std::string> QmpGuest::name_of_guest(qmp::Client& monitor) {
  TRY_ASSIGN(const Json answer, monitor.execute("query-name"));
  return qmp::text_member(answer, "name").value_or("guest");
}

GuestIdentity QmpGuest::identity() { return ask_identity(executor(monitor_)); }

Result<std::vector<Remark>> QmpGuest::mend() {
  QmpSnapshotMonitor snapshots(monitor_);
  return mend_snapshot(snapshots);
}

Result<std::uint64_t> QmpGuest::memory_size() {
  TRY_ASSIGN(const Json answer, monitor_.execute("query-memory-size-summary"));
  const auto base = qmp::number_member(answer, "base-memory");
  const auto plugged = qmp::number_member(answer, "plugged-memory").value_or(0);
  if (!base || *base > kMaxPhysAddr || plugged > kMaxPhysAddr) {
    return fail(Errc::malformed, "query-memory-size-summary: implausible size of RAM");
  }
  return *base + plugged;
}

Result<GuestState> QmpGuest::state() {
  TRY_ASSIGN(const Json answer, monitor_.execute("query-status"));
  const auto status = qmp::text_member(answer, "status");
  const auto running = qmp::bool_member(answer, "running");
  if (!status || !running) {
    return fail(Errc::malformed, "query-status: the answer has no status");
  }
  return GuestState{*status, *running};
}

std::optional<std::uint64_t> QmpGuest::host_memory() {
  if (process_) {
    return resident_bytes(process_->pid());
  }
  const auto peer = qmp::listener_of(monitor_.fd());
  return peer ? resident_bytes(peer->pid) : std::nullopt;
}

Result<> QmpGuest::check_readable() {
  TRY_ASSIGN(const std::string encryption, ask_encryption(monitor_));
  TRY(check_encryption(encryption));
  GuestSetup setup;
  TRY(ask_kind(monitor_, setup));
  return check_kind(setup.arch, setup.mode);
}

Result<> QmpGuest::check_idle() {
  TRY_ASSIGN(const Json dump, monitor_.execute("query-dump"));
  if (qmp::text_member(dump, "status") == "active") {
    return fail(Errc::busy, "another dump of the guest is running: wait until it ends");
  }
  TRY_ASSIGN(const Json migration, monitor_.execute("query-migrate"));
  const std::string status = qmp::text_member(migration, "status").value_or("none");
  if (std::ranges::find(kIdleMigration, status) == kIdleMigration.end()) {
    return fail(Errc::busy,
                "a migration or snapshot of the guest is running (status {}): wait until it ends",
                status);
  }
  TRY_ASSIGN(const GuestState now, state());
  if (now.name == "inmigrate") {
    return fail(Errc::busy, "the guest waits for an incoming migration");
  }
  return {};
}

Result<> QmpGuest::start_dump(int target, Json arguments, Milliseconds timeout,
                              lease::Holder* holder) {
  TRY(monitor_.execute("getfd", {{"fdname", kFdName}}, qmp::kCommandTimeout, target));
  arguments["paging"] = false;
  arguments["protocol"] = fmt::format("fd:{}", kFdName);
  if (auto started = monitor_.execute("dump-guest-memory", arguments, timeout); !started) {
    if (holder != nullptr) {
      holder->drop();  // a dump that has begun all the same ends, and lets the guest run
    }
    // QEMU may have the descriptor still, or have closed it already.
    static_cast<void>(monitor_.execute("closefd", {{"fdname", kFdName}}));
    TRY(check_idle());  // where a migration began since, its own text is of blockers
    return tl::unexpected(std::move(started).error());
  }
  return {};
}

Result<> QmpGuest::start_full_dump(lease::Holder& holder, Milliseconds timeout) {
  const Fd pipe = holder.take_writing_end();
  return start_dump(pipe.get(), {{"detach", true}}, timeout, &holder);
}

Result<Acquired> QmpGuest::acquire(const GuestState& state, const Patience& patience) {
  TRY(monitor_.drop_events());
  if (!state.running && !process_) {
    return acquire_header();
  }
  const bool whole = !process_;
  TRY_ASSIGN(lease::Holder holder, lease::Holder::start(patience.terms(state.running, whole)));
  TRY(start_full_dump(holder, patience.left(kDumpTimeout)));
  if (patience.left(kDumpTimeout).count() == 0) {  // QEMU may have answered because of that
    return tl::unexpected(*lease::objection_to(lease::Ending::limit));
  }
  Fd relay = holder.take_relay();
  return Acquired{whole ? sandbox::Input(sandbox::StreamInput{}) : sandbox::ProcessInput{},
                  std::move(relay), std::make_unique<QmpLease>(monitor_, state.running, !whole),
                  std::move(holder)};
}

Result<ImageSource> QmpGuest::locate(std::span<const PhysRange> blocks) {
  if (!process_) {
    return fail(Errc::unsupported, "method qmp does not read QEMU's memory");
  }
  std::vector<RamBlock> found;
  for (const PhysRange& range : blocks) {
    TRY_ASSIGN(const RamBlock block, find_block(executor(monitor_), range));
    found.push_back(block);
  }
  TRY(prove(found));
  return process_->locate(found);
}

// Proven blocks may overlap. Blocks with the same distance between the process's addresses and the
// guest's are one mapping.
bool QmpGuest::is_proven(const RamBlock& block) const {
  RangeSet same;
  for (const RamBlock& proven : proven_) {
    if (proven.address - block.address == proven.range.begin - block.range.begin) {
      same.add(proven.range);
    }
  }
  return std::ranges::any_of(same.ranges(), [&](const PhysRange& range) {
    return range.begin <= block.range.begin && range.end() >= block.range.end();
  });
}

Result<> QmpGuest::prove(std::span<const RamBlock> found) {
  const Peek peek = [this](PhysAddr address, std::span<std::byte> bytes) {
    return peek_words(executor(monitor_), address, bytes);
  };
  for (const RamBlock& block : found) {
    if (is_proven(block)) {
      continue;
    }
    TRY_ASSIGN(const ImageSource place, process_->locate({&block, 1}));
    TRY_ASSIGN(const Fit fit, places_that_fit({&block.range, 1}, {&place, 1}, peek));
    if (fit.places.empty()) {
      return fail(
          Errc::unsupported,
          "the memory of process {} differs from what QEMU has at {:#x}: it does not run the guest",
          process_->pid(), block.range.begin.value);
    }
    proven_.push_back(block);
  }
  return {};
}

// QEMU tells that a detached dump is over before it closes the dump's descriptor, and closes that
// of the next one if that has begun by then (QEMU dump/dump.c, dump_process and dump_cleanup,
// v7.2). So QEMU gets a socket, whose hang-up can be awaited.
Result<Acquired> QmpGuest::acquire_header() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return fail_errno(errno, "socketpair");
  }
  const Fd ours(ends[0]);
  Fd theirs(ends[1]);
  TRY(start_dump(theirs.get(), {{"detach", true}}));
  theirs.reset();
  Result<Fd> header = read_dump_header(ours.get());
  ::shutdown(ours.get(), SHUT_RD);  // ends the dump, with an error that is none
  TRY(monitor_.wait_event("DUMP_COMPLETED", kDumpTimeout));
  TRY(wait_for_hangup(ours.get()));
  if (!header) {
    return tl::unexpected(std::move(header).error());
  }
  TRY(check_stood_still(monitor_, Microseconds::max()));
  return Acquired{sandbox::FetchedInput{}, *std::move(header), nullptr};
}

Result<ImageSource> QmpGuest::look() {
  if (!process_) {
    return fail(Errc::unsupported, "method qmp does not read QEMU's memory");
  }
  TRY_ASSIGN(const std::vector<RamBlock> found, find_ram(executor(monitor_)));
  TRY(prove(found));
  // Also ask now for what a dump has beside RAM, not while the guest is paused.
  if (const auto all = find_all_ram(executor(monitor_))) {
    for (const RamBlock& block : *all) {
      static_cast<void>(prove({&block, 1}));
    }
  }
  TRY_ASSIGN(ImageSource source, process_->locate(found));
  source.cpus = registers().value_or(std::vector<CpuState>());
  return source;
}

Result<std::vector<CpuState>> QmpGuest::registers() { return read_registers(executor(monitor_)); }

Result<Fd> QmpGuest::fetch(PhysRange range) {
  TRY_ASSIGN(Fd file, make_memory_file("memory"));
  TRY(start_dump(file.get(), {{"begin", range.begin.value}, {"length", range.size}}));
  TRY_ASSIGN(const auto completed, monitor_.wait_event("DUMP_COMPLETED", kDumpTimeout));
  TRY(dump_outcome(completed));
  TRY(check_stood_still(monitor_, Microseconds::max()));
  return file;
}

// A stopped guest stays stopped until the reset is done: an earlier `cont` would let the crashed
// kernel run.
Result<> QmpGuest::reset() {
  TRY(monitor_.drop_events());
  TRY(monitor_.execute("system_reset"));
  if (auto done = monitor_.wait_event("RESET", kResumeTimeout); !done) {
    return done.error().code == Errc::not_found
               ? fail(Errc::guest_state, "QEMU ended instead (was it started with -no-reboot?)")
               : tl::unexpected(std::move(done).error());
  }
  TRY_ASSIGN(const GuestState now, state());
  return now.running ? Result<>() : act(Then::resume);
}

Result<> QmpGuest::act(Then then) {
  switch (then) {
    case Then::nothing:
      return {};
    case Then::resume:
      TRY(monitor_.execute("cont"));
      return {};
    case Then::reset:
      return reset();
    case Then::destroy:
      // The answer may be lost with QEMU.
      static_cast<void>(monitor_.execute("quit"));
      return monitor_.wait_closed(kResumeTimeout);
  }
  return {};
}

namespace {

Result<GuestProcess> open_process(qmp::Client& monitor) {
  TRY_ASSIGN(GuestProcess process, open_monitor_process(monitor.fd(), executor(monitor)));
  // Nothing was touched yet: fail now rather than while the guest waits.
  constexpr PhysRange kAnyRam{{1U << 20}, kPageSize};
  TRY_ASSIGN(const RamBlock block, find_block(executor(monitor), kAnyRam));
  TRY(process.locate({&block, 1}));
  return process;
}

}  // namespace

Result<std::unique_ptr<Guest>> open_direct_guest(const Selection& selection) {
  TRY_ASSIGN(auto monitor, open_monitor(selection, QmpGuest::events()));
  TRY_ASSIGN(GuestProcess process, open_process(*monitor));
  TRY_ASSIGN(auto guest, QmpGuest::make(std::move(monitor), std::move(process)));
  guest->find_keys(selection.socket);
  return guest;
}

Result<std::unique_ptr<Guest>> open_qmp_guest(const Selection& selection) {
  TRY_ASSIGN(auto monitor, open_monitor(selection, QmpGuest::events()));
  TRY_ASSIGN(auto guest, QmpGuest::make(std::move(monitor)));
  guest->find_keys(selection.socket);
  return guest;
}

}  // namespace vmcore::acquire
