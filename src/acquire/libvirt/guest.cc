// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/libvirt/guest.h"

#include <libvirt/virterror.h>
#include <poll.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>
#include <vector>

#include "qmp/unix_peers.h"
#include "src/acquire/commands.h"
#include "src/acquire/crash/guest_keys.h"
#include "src/acquire/dump_header.h"
#include "src/acquire/libvirt/definition.h"
#include "src/acquire/libvirt/emulator.h"
#include "src/acquire/libvirt/monitor.h"
#include "src/acquire/libvirt/process.h"
#include "src/acquire/libvirt/setup.h"
#include "src/acquire/libvirt/state.h"
#include "src/acquire/process/challenge.h"
#include "src/acquire/process/known_ram.h"
#include "src/acquire/process/ram_layout.h"
#include "src/acquire/qmp/monitor_map.h"
#include "src/acquire/qmp/registers.h"
#include "src/acquire/qmp/whose.h"

namespace vmcore::acquire {
namespace {

using Milliseconds = std::chrono::milliseconds;

constexpr Milliseconds kBeginTimeout{60'000};
constexpr Milliseconds kEndTimeout{60'000};
constexpr Milliseconds kLookEvery{50};
constexpr Milliseconds kResumeTimeout{10'000};
// After a dump that failed, maybe before the guest was paused.
constexpr Milliseconds kSettleTimeout{1'000};

class LibvirtLease : public Lease {
 public:
  // `cut_short`: the reader does not read everything, so libvirt's error is expected.
  LibvirtLease(std::unique_ptr<LibvirtDump> dump, std::unique_ptr<PauseWatch> watch, bool cut_short)
      : dump_(std::move(dump)), watch_(std::move(watch)), cut_short_(cut_short) {}

  Result<Microseconds> end() override {
    Result<> dumped = dump_->wait(kEndTimeout);
    if (cut_short_ && !dumped && dumped.error().code != Errc::guest_state) {
      dumped = {};
    }
    if (watch_ == nullptr) {
      TRY(dumped);
      return Microseconds{};
    }
    const auto pause = watch_->wait_resumed(dumped ? kResumeTimeout : kSettleTimeout);
    TRY(dumped);
    // If the guest does not run now, the job reports that at its end; the dump is complete.
    return pause.value_or(Microseconds{});
  }

 private:
  std::unique_ptr<LibvirtDump> dump_;
  std::unique_ptr<PauseWatch> watch_;  // null where the guest stood still already
  bool cut_short_;
};

bool has_bytes(int file) {
  struct stat status {};
  return ::fstat(file, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0;
}

// libvirt lets QEMU save the page: no monitor command of ours that would taint the domain.
Result<> peek(virDomain* domain, PhysAddr address, std::span<std::byte> bytes) {
  if (virDomainMemoryPeek(domain, address.value, bytes.size(), bytes.data(), VIR_MEMORY_PHYSICAL) !=
      0) {
    return libvirt_failure("a page of the guest's memory");
  }
  return {};
}

std::vector<RamBlock> blocks_of(const RamUnit& unit, std::uint64_t address) {
  std::vector<RamBlock> blocks;
  for (const Stretch& stretch : unit.stretches) {
    blocks.push_back({stretch.range, address + stretch.offset});
  }
  return blocks;
}

bool has_all(std::span<const RamBlock> all, const std::vector<RamBlock>& some) {
  return std::ranges::all_of(some, [&](const RamBlock& one) {
    return std::ranges::any_of(all, [&](const RamBlock& other) {
      return other.range == one.range && other.address == one.address;
    });
  });
}

// Finds which of several places of a unit QEMU has it in.
class Prover {
 public:
  Prover(const GuestProcess& process, virDomain* domain)
      : process_(process), key_(process.key()), domain_(domain) {
    known_ = key_ ? recall_ram(*key_) : std::vector<RamBlock>();
  }

  Result<std::vector<std::size_t>> which_fit(const RamUnit& unit,
                                             std::span<const std::uint64_t> addresses) {
    std::vector<ImageSource> places;
    std::optional<std::size_t> known;
    for (const std::uint64_t address : addresses) {
      const std::vector<RamBlock> blocks = blocks_of(unit, address);
      known = has_all(known_, blocks) ? std::optional(places.size()) : known;
      TRY_ASSIGN(ImageSource place, process_.locate(blocks));
      places.push_back(std::move(place));
    }
    std::vector<PhysRange> ranges;
    for (const Stretch& stretch : unit.stretches) {
      ranges.push_back(without_tseg(stretch.range));
    }
    const Peek ask = [this](PhysAddr at, std::span<std::byte> bytes) {
      return peek(domain_, at, bytes);
    };
    if (known && fits_still(ranges, places, *known, ask).value_or(false)) {
      ++proven_;
      return std::vector{*known};
    }
    TRY_ASSIGN(Fit fit, places_that_fit(ranges, places, ask));
    proven_ += fit.by_data ? 1 : 0;
    return std::move(fit.places);
  }

  // What was accepted for its size alone, or by pages of zeros, is proven again the next time.
  void remember(std::span<const RamUnit> units, std::span<const RamBlock> blocks) const {
    if (key_ && proven_ == units.size()) {
      remember_ram(*key_, blocks);
    }
  }

 private:
  const GuestProcess& process_;
  std::optional<ProcessKey> key_;
  virDomain* domain_;
  std::vector<RamBlock> known_;
  std::size_t proven_ = 0;  // units
};

// libvirt writes to the holder, and the dump is read from the holder's relay.
Result<DumpTarget> target_of(lease::Holder& holder) {
  Pipe pipe{.out = holder.take_relay(), .in = holder.take_writing_end()};
  return DumpTarget::of_pipe(std::move(pipe));
}

}  // namespace

Result<std::unique_ptr<LibvirtGuest>> LibvirtGuest::open(const Selection& selection) {
  TRY_ASSIGN(LibvirtConnection connection, connect_libvirt(selection.uri));
  TRY_ASSIGN(LibvirtDomain domain,
             find_domain(connection.get(), selection.domain, selection.look_up));
  if (virDomainIsActive(domain.get()) != 1) {
    return fail(Errc::guest_state, "the domain {} is not running, so it has no memory to dump",
                selection.domain);
  }
  const char* const name = virDomainGetName(domain.get());
  const std::uint64_t version = version_of(connection.get()).value_or(0);
  std::unique_ptr<LibvirtGuest> guest(new LibvirtGuest(
      std::move(connection), std::move(domain), name != nullptr ? name : "guest", selection));
  guest->libvirt_version_ = version;
  return guest;
}

Result<> LibvirtGuest::use_process() {
  TRY_ASSIGN(process_, open_domain_process(connection_.get(), domain_.get()));
  auto found = find_memory();
  if (!found && found.error().code == Errc::unsupported && selection_.allow_taint) {
    return ask_monitor();
  }
  if (!found) {
    const char* const hint =
        selection_.allow_taint ? "" : "; with --allow-taint QEMU's monitor is asked for it";
    return fail(found.error().code, "the place of the guest's memory in QEMU is not known: {}{}",
                found.error().message, hint);
  }
  ram_ = *std::move(found);
  return {};
}

Result<std::vector<RamBlock>> LibvirtGuest::find_memory() const {
  TRY_ASSIGN(const std::string xml, definition_of(domain_.get(), 0));
  TRY_ASSIGN(MemoryDefinition memory, read_memory_definition(xml));
  TRY_ASSIGN(memory.most_low, most_low_memory(qmp::command_line(process_->pid())));
  TRY_ASSIGN(const std::vector<RamUnit> units, ram_units(memory));
  TRY_ASSIGN(const std::vector<Mapping> mappings, process_->mappings());
  Prover prover(*process_, domain_.get());
  TRY_ASSIGN(std::vector<RamBlock> blocks,
             place_units(units, mappings, [&](const RamUnit& unit, auto addresses) {
               return prover.which_fit(unit, addresses);
             }));
  prover.remember(units, blocks);
  return blocks;
}

Execute LibvirtGuest::by_monitor() {
  tainted_ = true;
  return [this](const std::string& command, const qmp::Json& arguments) {
    return execute_in_domain(domain_.get(), command, arguments);
  };
}

Result<> LibvirtGuest::ask_monitor() {
  const Execute execute = by_monitor();
  TRY_ASSIGN(ram_, find_ram(execute));
  TRY_ASSIGN(told_, find_all_ram(execute));
  return {};
}

GuestIdentity LibvirtGuest::identity() {
  GuestIdentity identity{.name = name_, .uuid = uuid_of(domain_.get())};
  if (tainted_) {
    identity.qemu = ask_version(by_monitor());
  } else if (process_) {
    identity.qemu = version_of_emulator(connection_.get(), process_->pid());
  }
  return identity;
}

std::vector<std::string> LibvirtGuest::keys() const {
  char uuid[VIR_UUID_STRING_BUFLEN] = "";
  GuestKeys keys;
  if (virDomainGetUUIDString(domain_.get(), uuid) == 0) {
    keys.push_back(domain_key(uuid));
  }
  if (const auto process = process_ ? process_->key() : std::nullopt) {
    keys.push_back(process_key(*process));
  }
  return keys;
}

Result<std::uint64_t> LibvirtGuest::memory_size() {
  virDomainInfo info{};
  if (virDomainGetInfo(domain_.get(), &info) != 0) {
    return libvirt_failure("the domain's memory");
  }
  return std::uint64_t{info.maxMem} * 1024;  // it counts in KiB
}

Result<> LibvirtGuest::reconnect() {
  char uuid[VIR_UUID_STRING_BUFLEN] = "";
  if (virDomainGetUUIDString(domain_.get(), uuid) != 0) {
    return libvirt_failure("the domain's UUID");
  }
  domain_.reset();
  connection_.reset();
  auto again = connect_again(selection_.uri);
  if (!again && holds_guests_itself(libvirt_version_)) {
    return fail(again.error().code,
                "{}; a guest that libvirt {} paused for a dump stays paused until libvirt is "
                "started again (systemctl start libvirtd.service, or virtqemud.service)",
                again.error().message, version_text(libvirt_version_));
  }
  TRY_ASSIGN(connection_, std::move(again));
  domain_.reset(virDomainLookupByUUIDString(connection_.get(), uuid));
  if (!domain_) {
    return libvirt_failure("the domain after libvirt came back");
  }
  return {};
}

Result<GuestState> LibvirtGuest::state() {
  if (!domain_ || virConnectIsAlive(connection_.get()) != 1) {
    TRY(reconnect());
  }
  int state = VIR_DOMAIN_NOSTATE;
  int reason = 0;
  if (virDomainGetState(domain_.get(), &state, &reason, 0) != 0) {
    return libvirt_failure("the domain's state");
  }
  runs_after_crash_ = crash_word(state, reason) == CrashWord::maybe;
  const bool running = state == VIR_DOMAIN_RUNNING || state == VIR_DOMAIN_BLOCKED;
  return GuestState{name_of_state(state, reason), running};
}

std::optional<std::uint64_t> LibvirtGuest::host_memory() {
  if (process_) {
    return resident_bytes(process_->pid());
  }
  std::array<virDomainMemoryStatStruct, VIR_DOMAIN_MEMORY_STAT_NR> stats{};
  const int count = virDomainMemoryStats(domain_.get(), stats.data(), stats.size(), 0);
  for (int i = 0; i < count; ++i) {
    if (stats[static_cast<std::size_t>(i)].tag == VIR_DOMAIN_MEMORY_STAT_RSS) {
      return stats[static_cast<std::size_t>(i)].val * 1024;  // it counts in KiB
    }
  }
  return std::nullopt;
}

Result<> LibvirtGuest::check_readable() {
  TRY_ASSIGN(const std::string xml, definition_of(domain_.get(), 0));
  TRY_ASSIGN(const GuestSetup setup, read_definition(xml));
  TRY(check_encryption(setup.encryption));
  if (!told_) {
    return check_kind(setup.arch, CpuMode::unknown);  // the monitor is left alone
  }
  const auto cpus = registers();
  return check_kind(setup.arch, cpus ? mode_of(*cpus) : CpuMode::unknown);
}

std::string LibvirtGuest::handle() const { return handle_of(name_, uuid_of(domain_.get())); }

Result<> LibvirtGuest::check_idle() {
  virDomainJobInfo job{};
  if (virDomainGetJobInfo(domain_.get(), &job) != 0) {
    if (const virError* const error = virGetLastError();
        error != nullptr && error->code == VIR_ERR_NO_SUPPORT) {
      return fail(Errc::unsupported, "this libvirt does not run its domains in QEMU");
    }
    return libvirt_failure("the domain's jobs");
  }
  if (job.type == VIR_DOMAIN_JOB_BOUNDED || job.type == VIR_DOMAIN_JOB_UNBOUNDED) {
    return fail(Errc::busy, "another libvirt job is running for the domain (see: {})",
                virsh_command(selection_, "domjobinfo", handle()));
  }
  return {};
}

Result<std::unique_ptr<Lease>> LibvirtGuest::begin(DumpTarget& target, lease::Holder* holder,
                                                   bool running, bool cut_short,
                                                   const Patience& patience) {
  const bool whole = holder == nullptr;
  std::unique_ptr<PauseWatch> watch;
  if (running) {
    TRY_ASSIGN(watch, PauseWatch::start(connection_.get(), domain_.get()));
  }
  TRY_ASSIGN(auto dump, LibvirtDump::start(domain_.get(), target.path()));
  while (true) {
    // A file is always readable: wait for the end of the dump, and look whether it has begun.
    std::array<pollfd, 3> waits{pollfd{dump->returned_fd(), POLLIN, 0},
                                pollfd{whole ? -1 : target.fd(), POLLIN, 0},
                                pollfd{patience.cancel, POLLIN, 0}};
    const auto longest = whole ? kLookEvery : patience.left(kBeginTimeout);
    const int ready = ::poll(waits.data(), waits.size(), static_cast<int>(longest.count()));
    if (ready < 0 && errno != EINTR) {
      return fail_errno(errno, "poll");
    }
    const bool cancelled = waits[2].revents != 0;
    // Its limit may be over before the first byte has come.
    const bool dropped = (waits[1].revents & (POLLIN | POLLHUP)) == POLLHUP;
    const bool late = ready == 0 || dropped;
    if (!whole && (cancelled || late)) {
      holder->drop();  // nobody reads it any more: the guest runs again
      target.forget_path();
      static_cast<void>(LibvirtLease(std::move(dump), std::move(watch), cut_short).end());
    }
    if (cancelled) {
      return fail(Errc::cancelled, "interrupted");
    }
    if (late && !whole) {
      return fail(Errc::busy, "libvirt's dump did not begin in time");
    }
    if (whole && has_bytes(target.fd())) {
      target.forget_path();
    }
    const bool returned = waits[0].revents != 0;
    if (returned) {
      Result<> ended = dump->wait(kEndTimeout);
      target_refused_ = !ended && dump->target_refused();
      TRY(ended);
    }
    if (returned || (waits[1].revents & POLLIN) != 0) {
      target.forget_path();
      return std::make_unique<LibvirtLease>(std::move(dump), std::move(watch), cut_short);
    }
  }
}

Result<Acquired> LibvirtGuest::acquire_pipe(bool running, const Patience& patience) {
  const bool whole = !process_;
  TRY_ASSIGN(lease::Holder holder, lease::Holder::start(patience.terms(running, whole)));
  TRY_ASSIGN(DumpTarget target, target_of(holder));
  TRY_ASSIGN(auto lease, begin(target, &holder, running, !whole, patience));
  return Acquired{whole ? sandbox::Input(sandbox::StreamInput{}) : sandbox::ProcessInput{},
                  target.take(), std::move(lease), std::move(holder)};
}

// libvirt cannot cancel a memory-only dump: the guest is paused until all of it is written.
Result<Acquired> LibvirtGuest::acquire_file(bool running, const Patience& patience) {
  TRY_ASSIGN(DumpTarget target, DumpTarget::make_file(selection_.spool_folder));
  TRY_ASSIGN(auto lease, begin(target, nullptr, running, false, patience));
  return Acquired{sandbox::FileInput{}, target.take(), std::move(lease)};
}

Result<Acquired> LibvirtGuest::acquire(const GuestState& state, const Patience& patience) {
  Result<Acquired> acquired = acquire_pipe(state.running, patience);
  if (acquired || !target_refused_) {
    return acquired;
  }
  if (process_) {  // method libvirt can do with a file
    return fail(Errc::unsupported, "{}", acquired.error().message);
  }
  if (state.running && !selection_.allow_unbounded_pause) {
    return fail(Errc::limit,
                "libvirt cannot write into a pipe ({}), and a pause while it writes a file has no "
                "limit: the guest is paused until all of its memory is written, even if vmcorectl "
                "is killed. Allow this with --allow-unbounded-pause, or use method direct (as "
                "root) or --consistency snapshot",
                acquired.error().message);
  }
  if (patience.has_no_end) {
    patience.has_no_end();
  }
  Result<Acquired> again = acquire_file(state.running, patience);
  if (!again) {
    return fail(again.error().code, "{} (into a pipe: {})", again.error().message,
                acquired.error().message);
  }
  return again;
}

Result<Fd> LibvirtGuest::dump_header() {
  TRY_ASSIGN(lease::Holder holder, lease::Holder::start(header_terms()));
  TRY_ASSIGN(DumpTarget target, target_of(holder));
  TRY_ASSIGN(const auto lease, begin(target, &holder, true, true, {}));
  Result<Fd> header = read_dump_header(target.fd());
  holder.drop();
  TRY(lease->end());
  return header;
}

Result<Fd> LibvirtGuest::fetch(PhysRange) {
  return fail(Errc::unsupported, "libvirt cannot dump single ranges of memory");
}

std::vector<Remark> LibvirtGuest::remarks() const {
  return tainted_ ? std::vector<Remark>{{Errc::guest_state, kTaintRemark, Severity::fact}}
                  : std::vector<Remark>{};
}

Result<ImageSource> LibvirtGuest::locate(std::span<const PhysRange> blocks) {
  if (!process_) {
    return fail(Errc::unsupported, "method libvirt does not read QEMU's memory");
  }
  if (told_) {
    TRY_ASSIGN(const std::vector<RamBlock> parts, within(blocks, *told_));
    return process_->locate(parts);
  }
  TRY_ASSIGN(const std::vector<Mapping> mappings, process_->mappings());
  TRY_ASSIGN(const std::vector<RamBlock> parts, known_parts(blocks, ram_, mappings));
  return process_->locate(parts);
}

Result<ImageSource> LibvirtGuest::look() {
  if (!process_) {
    return fail(Errc::unsupported, "method libvirt does not read QEMU's memory");
  }
  return process_->locate(ram_);
}

Result<std::vector<CpuState>> LibvirtGuest::registers() {
  if (!selection_.allow_taint) {
    return fail(Errc::unsupported,
                "only QEMU's monitor has them, and asking it would taint the domain: --allow-taint "
                "allows that");
  }
  return read_registers(by_monitor());
}

Result<> LibvirtGuest::act(Then then) {
  TRY_ASSIGN(const GuestState now, state());
  if (then == Then::reset && virDomainReset(domain_.get(), 0) != 0) {
    return libvirt_failure("reset");
  }
  const bool resume = then == Then::resume || then == Then::reset;
  if (resume && !now.running && virDomainResume(domain_.get()) != 0) {
    return libvirt_failure("resume");
  }
  if (then == Then::destroy && virDomainDestroy(domain_.get()) != 0) {
    return libvirt_failure("destroy");
  }
  return {};
}

Result<std::unique_ptr<Guest>> open_direct_domain(const Selection& selection) {
  TRY_ASSIGN(auto guest, LibvirtGuest::open(selection));
  TRY(guest->use_process());
  return guest;
}

Result<std::unique_ptr<Guest>> open_libvirt_guest(const Selection& selection) {
  TRY_ASSIGN(auto guest, LibvirtGuest::open(selection));
  return guest;
}

}  // namespace vmcore::acquire
