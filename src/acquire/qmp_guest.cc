#include "src/acquire/qmp_guest.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <optional>
#include <utility>
#include <vector>

#include "qmp/connect.h"
#include "qmp/unix_peers.h"
#include "src/acquire/qmp_setup.h"
#include "src/acquire/qmp_snapshot.h"
#include "src/acquire/ram_layout.h"
#include "src/acquire/snapshot_settings.h"
#include "src/base/sys.h"

namespace vmcore::acquire {
namespace {

using qmp::Json;
using qmp::Milliseconds;

// One name, so that a descriptor that was left behind by a client killed between getfd and its use
// is replaced by the next getfd, not joined.
constexpr const char* kFdName = "vmcorectl-dump";
// Ends of dumps and resumes come within milliseconds; a host that is out of breath may take longer.
constexpr Milliseconds kEndTimeout{60'000};
constexpr Milliseconds kResumeTimeout{10'000};
// Headers and notes of a dump lie before its memory: at most 5 MiB, with 4096 vCPUs (800 bytes of
// notes each) and the largest VMCOREINFO (1 MiB) that QEMU accepts.
constexpr std::size_t kHeaderSize = 16U << 20;

// QEMU's migration states in which nothing goes on (qapi/migration.json, MigrationStatus).
constexpr std::array<std::string_view, 4> kIdleMigration{"none", "completed", "failed",
                                                         "cancelled"};

// The dump's own error, where the event DUMP_COMPLETED has one.
Result<> dump_outcome(const qmp::Event& completed) {
  if (const auto error = qmp::text_member(completed.data, "error")) {
    return fail(Errc::io, "QEMU's dump failed: {}", *error);
  }
  return {};
}

// A dump does not resume or reset a guest that stands still, so that these events, up to that time
// of QEMU's, are not ours.
Result<> check_stood_still(qmp::Client& monitor, Microseconds until) {
  TRY_ASSIGN(const auto resumed, monitor.take_event("RESUME"));
  TRY_ASSIGN(const auto reset, monitor.take_event("RESET"));
  const bool runs = resumed && resumed->time <= until;
  if (runs || (reset && reset->time <= until)) {
    return fail(Errc::guest_state, "somebody else {} the guest while it was dumped",
                runs ? "resumed" : "reset");
  }
  return {};
}

// A dump that goes into a pipe, until its reader has closed that.
class QmpLease : public Lease {
 public:
  // `cut_short`: the reader does not take all, so that the dump's failure is none.
  QmpLease(qmp::Client& monitor, bool running, bool cut_short)
      : monitor_(monitor), running_(running), cut_short_(cut_short) {}

  Result<Microseconds> end() override {
    TRY_ASSIGN(const qmp::Event completed, monitor_.wait_event("DUMP_COMPLETED", kEndTimeout));
    if (!running_) {
      TRY(check_stood_still(monitor_, completed.time));
      return Microseconds{};
    }
    TRY_ASSIGN(const Microseconds pause, wait_for_resume());
    if (!cut_short_) {
      TRY(dump_outcome(completed));
    }
    return pause;
  }

 private:
  // Nothing is waited for where somebody else had stopped the guest before the dump began, which
  // leaves it so: while a dump of its own holds a guest, its status is save-vm.
  Result<Microseconds> wait_for_resume() {
    TRY_ASSIGN(const Json answer, monitor_.execute("query-status"));
    TRY_ASSIGN(auto resumed, monitor_.take_event("RESUME"));
    const auto status = qmp::text_member(answer, "status");
    if (!resumed && status != "save-vm" && status != "running") {
      return Microseconds{};
    }
    if (!resumed) {
      auto event = monitor_.wait_event("RESUME", kResumeTimeout);
      if (!event) {
        return event.error().code == Errc::busy
                   ? fail(Errc::guest_state, "the guest does not run again after the dump")
                   : tl::unexpected(std::move(event).error());
      }
      resumed = *std::move(event);
    }
    TRY_ASSIGN(const auto stopped, monitor_.take_event("STOP"));
    return stopped ? std::max(Microseconds{}, resumed->time - stopped->time) : Microseconds{};
  }

  qmp::Client& monitor_;
  bool running_;
  bool cut_short_;
};

// "Host virtual address for 0x100000 (pc.ram) is 0x7f5c40100000" (QEMU monitor/hmp-cmds.c, 2.9 and
// later).
std::optional<std::uint64_t> address_in(const std::string& text) {
  constexpr std::string_view kIs = ") is 0x";
  const std::size_t at = text.rfind(kIs);
  std::uint64_t address = 0;
  if (at == std::string::npos ||
      std::from_chars(text.data() + at + kIs.size(), text.data() + text.size(), address, 16).ec !=
          std::errc()) {
    return std::nullopt;
  }
  return address;
}

Result<std::uint64_t> host_address(qmp::Client& monitor, PhysAddr guest) {
  TRY_ASSIGN(const Json text,
             monitor.execute("human-monitor-command",
                             {{"command-line", fmt::format("gpa2hva {:#x}", guest.value)}}));
  const auto address = text.is_string() ? address_in(text.get<std::string>()) : std::nullopt;
  if (!address) {
    return fail(Errc::unsupported, "QEMU does not tell where guest-physical address {:#x} lies",
                guest.value);
  }
  return *address;
}

// A block is one piece in QEMU as well; its end is asked for all the same.
Result<RamBlock> find_block(qmp::Client& monitor, PhysRange range) {
  TRY_ASSIGN(const std::uint64_t begin, host_address(monitor, range.begin));
  TRY_ASSIGN(const std::uint64_t last, host_address(monitor, range.begin + (range.size - 1)));
  if (last - begin != range.size - 1) {
    return fail(Errc::unsupported, "the memory at {:#x} does not lie in one piece in QEMU",
                range.begin.value);
  }
  return RamBlock{range, begin};
}

// The beginning of the range that lies in one piece: each NUMA node's memory has a place of its
// own.
Result<RamBlock> first_block(qmp::Client& monitor, PhysRange range) {
  constexpr std::uint64_t kGranule = 1U << 20;  // nodes begin and end on it
  TRY_ASSIGN(const std::uint64_t begin, host_address(monitor, range.begin));
  std::uint64_t together = 0;
  std::uint64_t apart = range.size + kGranule;
  for (std::uint64_t tried = range.size; apart - together > kGranule && together < range.size;) {
    const auto last = host_address(monitor, range.begin + (tried - 1));
    if (!last && last.error().code != Errc::unsupported) {
      return tl::unexpected(last.error());
    }
    (last && *last - begin == tried - 1 ? together : apart) = tried;
    tried = together + (apart - together) / 2 / kGranule * kGranule;
    if (tried == together) {
      break;
    }
  }
  if (together == 0) {
    return fail(Errc::unsupported, "the memory at {:#x} does not lie in one piece in QEMU",
                range.begin.value);
  }
  return RamBlock{{range.begin, together}, begin};
}

// What is plugged in and is RAM (QEMU qapi/machine.json, query-memory-devices; 2.1 and later), by
// address: DIMMs, and the whole of what virtio-mem may have, for QEMU does not tell which blocks of
// it the guest has; what is not plugged in reads as zeros. Of other devices not all need be RAM.
Result<std::vector<PhysRange>> find_plugged(qmp::Client& monitor) {
  TRY_ASSIGN(const Json devices, monitor.execute("query-memory-devices"));
  std::vector<PhysRange> plugged;
  for (const Json& device : devices) {
    const auto type = qmp::text_member(device, "type");
    const bool dimm = type == "dimm";
    if (!(dimm || type == "virtio-mem") || !device.contains("data")) {
      continue;
    }
    const Json& data = device["data"];
    if (!dimm && qmp::number_member(data, "size") == 0U) {
      continue;
    }
    const auto begin = qmp::number_member(data, dimm ? "addr" : "memaddr");
    const auto size = qmp::number_member(data, dimm ? "size" : "max-size");
    if (!begin || !size || *size == 0 || *begin >= kMaxPhysAddr || *size > kMaxPhysAddr - *begin) {
      return fail(Errc::malformed, "QEMU tells of plugged memory where none can be");
    }
    plugged.push_back({{*begin}, *size});
  }
  std::ranges::sort(plugged, {}, &PhysRange::begin);
  return plugged;
}

// Copies the first bytes that come through the pipe; fewer where it ends before.
Result<Fd> read_header(int pipe) {
  TRY_ASSIGN(Fd file, make_memory_file("memory"));
  std::vector<std::byte> buffer(64U << 10);
  std::size_t length = 0;
  while (length < kHeaderSize) {
    pollfd wait{pipe, POLLIN, 0};
    const int ready = ::poll(&wait, 1, static_cast<int>(kEndTimeout.count()));
    if (ready < 0 && errno == EINTR) {
      continue;
    }
    if (ready <= 0) {
      return fail(Errc::busy, "QEMU's dump does not begin");
    }
    const ssize_t got = ::read(pipe, buffer.data(), buffer.size());
    if (got < 0 && errno != EINTR) {
      return fail_errno(errno, "QEMU's dump");
    }
    if (got == 0) {
      break;
    }
    const auto part = std::span(buffer).first(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    TRY(sys::pwrite_full(file.get(), part, length));
    length += part.size();
  }
  return file;
}

}  // namespace

std::vector<std::string> QmpGuest::events() {
  return {"DUMP_COMPLETED", "RESET", "RESUME", "STOP"};
}

Result<std::unique_ptr<QmpGuest>> QmpGuest::make(qmp::Client monitor,
                                                 std::optional<GuestProcess> process) {
  TRY_ASSIGN(std::string name, name_of_guest(monitor));
  return std::unique_ptr<QmpGuest>(
      new QmpGuest(std::move(monitor), std::move(name), std::move(process)));
}

Result<std::string> QmpGuest::name_of_guest(qmp::Client& monitor) {
  TRY_ASSIGN(const Json answer, monitor.execute("query-name"));
  return qmp::text_member(answer, "name").value_or("guest");
}

Result<std::vector<Remark>> QmpGuest::mend() {
  QmpSnapshotMonitor snapshots(monitor_);
  return mend_snapshot(snapshots);
}

Result<std::uint64_t> QmpGuest::memory_size() {
  TRY_ASSIGN(const Json answer, monitor_.execute("query-memory-size-summary"));
  const auto base = qmp::number_member(answer, "base-memory");
  const auto plugged = qmp::number_member(answer, "plugged-memory").value_or(0);
  if (!base || *base > kMaxPhysAddr || plugged > kMaxPhysAddr) {
    return fail(Errc::malformed, "query-memory-size-summary: no sensible size of RAM");
  }
  return *base + plugged;
}

Result<GuestState> QmpGuest::state() {
  TRY_ASSIGN(const Json answer, monitor_.execute("query-status"));
  const auto status = qmp::text_member(answer, "status");
  const auto running = qmp::bool_member(answer, "running");
  if (!status || !running) {
    return fail(Errc::malformed, "query-status: no status");
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
  return check_encryption(encryption);
}

Result<> QmpGuest::check_idle() {
  TRY_ASSIGN(const Json dump, monitor_.execute("query-dump"));
  if (qmp::text_member(dump, "status") == "active") {
    return fail(Errc::busy, "another dump of the guest is going on");
  }
  TRY_ASSIGN(const Json migration, monitor_.execute("query-migrate"));
  const std::string status = qmp::text_member(migration, "status").value_or("none");
  if (std::ranges::find(kIdleMigration, status) == kIdleMigration.end()) {
    return fail(Errc::busy, "a migration or snapshot of the guest is going on (status {})", status);
  }
  TRY_ASSIGN(const GuestState now, state());
  if (now.name == "inmigrate") {
    return fail(Errc::busy, "the guest waits for an incoming migration");
  }
  return {};
}

Result<> QmpGuest::start_dump(int target, Json arguments) {
  TRY(monitor_.execute("getfd", {{"fdname", kFdName}}, qmp::kCommandTimeout, target));
  arguments["paging"] = false;
  arguments["protocol"] = fmt::format("fd:{}", kFdName);
  if (auto started = monitor_.execute("dump-guest-memory", arguments, kEndTimeout); !started) {
    // QEMU may have the descriptor still, or have closed it already.
    static_cast<void>(monitor_.execute("closefd", {{"fdname", kFdName}}));
    TRY(check_idle());  // where a migration began since, its own text is of blockers
    return tl::unexpected(std::move(started).error());
  }
  return {};
}

Result<Fd> QmpGuest::start_full_dump() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    return fail_errno(errno, "pipe");
  }
  Fd out(ends[0]);
  Fd in(ends[1]);
  // Fewer wake-ups; where the user's pipes may not be that large, the default does.
  static_cast<void>(::fcntl(out.get(), F_SETPIPE_SZ, 1 << 20));
  TRY(start_dump(in.get(), {{"detach", true}}));
  return out;
}

Result<Acquired> QmpGuest::acquire(const GuestState& state) {
  TRY(monitor_.drop_events());
  if (!state.running && !process_) {
    return acquire_header();
  }
  TRY_ASSIGN(Fd pipe, start_full_dump());
  return Acquired{process_ ? sandbox::InputKind::process : sandbox::InputKind::stream,
                  std::move(pipe),
                  std::make_unique<QmpLease>(monitor_, state.running, process_.has_value())};
}

Result<ImageSource> QmpGuest::locate(std::span<const PhysRange> blocks) {
  if (!process_) {
    return fail(Errc::unsupported, "method qmp does not read QEMU's memory");
  }
  std::vector<RamBlock> found;
  for (const PhysRange& range : blocks) {
    TRY_ASSIGN(const RamBlock block, find_block(monitor_, range));
    found.push_back(block);
  }
  return process_->locate(found);
}

Result<Acquired> QmpGuest::acquire_header() {
  TRY_ASSIGN(Fd pipe, start_full_dump());
  Result<Fd> header = read_header(pipe.get());
  pipe.reset();  // ends the dump, with an error that is none
  TRY(monitor_.wait_event("DUMP_COMPLETED", kEndTimeout));
  if (!header) {
    return tl::unexpected(std::move(header).error());
  }
  TRY(check_stood_still(monitor_, Microseconds::max()));
  return Acquired{sandbox::InputKind::fetch, *std::move(header), nullptr};
}

Result<ImageSource> QmpGuest::look() {
  TRY_ASSIGN(const Json machine,
             monitor_.execute("qom-get", {{"path", "/machine"}, {"property", "type"}}));
  TRY_ASSIGN(const Json size, monitor_.execute("query-memory-size-summary"));
  const auto base = qmp::number_member(size, "base-memory");
  if (!machine.is_string() || !base) {
    return fail(Errc::unsupported, "QEMU does not tell what machine the guest is");
  }
  if (!process_) {
    return fail(Errc::unsupported, "method qmp does not read QEMU's memory");
  }
  TRY_ASSIGN(std::vector<PhysRange> ranges, pc_memory(machine.get<std::string>(), *base));
  TRY_ASSIGN(const std::vector<PhysRange> plugged, find_plugged(monitor_));
  ranges.insert(ranges.end(), plugged.begin(), plugged.end());
  std::vector<RamBlock> found;
  for (PhysRange range : ranges) {
    const PhysAddr begin = range.begin;
    while (range.size != 0 && found.size() < sandbox::kMaxPieces) {
      const auto block = first_block(monitor_, range);
      if (!block && block.error().code == Errc::unsupported && range.begin != begin) {
        break;  // the end of low memory may be hidden (TSEG)
      }
      if (!block) {
        return tl::unexpected(block.error());
      }
      found.push_back(*block);
      range = {block->range.end(), range.size - block->range.size};
    }
  }
  return process_->locate(found);
}

Result<Fd> QmpGuest::fetch(PhysRange range) {
  TRY_ASSIGN(Fd file, make_memory_file("memory"));
  TRY(start_dump(file.get(), {{"begin", range.begin.value}, {"length", range.size}}));
  TRY_ASSIGN(const auto completed, monitor_.wait_event("DUMP_COMPLETED", kEndTimeout));
  TRY(dump_outcome(completed));
  TRY(check_stood_still(monitor_, Microseconds::max()));
  return file;
}

// A guest that stood still stays in its state until the reset is through: `cont` before that would
// let the old one run.
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

// The process behind the monitor: the socket's peer, which is QEMU unless somebody else made the
// socket for it.
Result<GuestProcess> open_process(qmp::Client& monitor) {
  const auto peer = qmp::listener_of(monitor.fd());
  if (!peer || peer->pid <= 0) {
    return fail(Errc::unsupported, "the process of the guest cannot be seen from here");
  }
  TRY_ASSIGN(GuestProcess process, GuestProcess::open(peer->pid));
  TRY_ASSIGN(const Json cpus, monitor.execute("query-cpus-fast"));
  const auto thread = cpus.is_array() && !cpus.empty()
                          ? qmp::number_member(cpus.front(), "thread-id")
                          : std::nullopt;
  if (!thread || !process.has_thread(*thread)) {
    return fail(Errc::unsupported,
                "{} (pid {}) made the monitor's socket, but does not run the guest", peer->name,
                peer->pid);
  }
  // Nothing was touched yet: fail now rather than while the guest waits.
  constexpr PhysRange kAnyRam{{1U << 20}, 4096};
  TRY_ASSIGN(const RamBlock block, find_block(monitor, kAnyRam));
  TRY(process.locate({&block, 1}));
  return process;
}

Result<qmp::Client> open_monitor(const Selection& selection) {
  return qmp::connect(selection.socket, {.events = QmpGuest::events()});
}

}  // namespace

Result<std::unique_ptr<Guest>> open_direct_guest(const Selection& selection) {
  TRY_ASSIGN(qmp::Client monitor, open_monitor(selection));
  TRY_ASSIGN(GuestProcess process, open_process(monitor));
  TRY_ASSIGN(std::unique_ptr<Guest> guest, QmpGuest::make(std::move(monitor), std::move(process)));
  return guest;
}

Result<std::unique_ptr<Guest>> open_qmp_guest(const Selection& selection) {
  TRY_ASSIGN(qmp::Client monitor, open_monitor(selection));
  TRY_ASSIGN(std::unique_ptr<Guest> guest, QmpGuest::make(std::move(monitor)));
  return guest;
}

}  // namespace vmcore::acquire
