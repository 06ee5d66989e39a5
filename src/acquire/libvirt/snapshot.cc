// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/libvirt/snapshot.h"

#include <libvirt/libvirt-qemu.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "src/acquire/libvirt/connection.h"
#include "src/acquire/libvirt/guest.h"
#include "src/acquire/libvirt/monitor.h"
#include "src/acquire/process/shared_memory.h"
#include "src/acquire/qmp/whose.h"
#include "src/acquire/snapshot/settings.h"
#include "src/acquire/snapshot/snapshot.h"

namespace vmcore::acquire {
namespace {

using qmp::Json;

constexpr std::chrono::seconds kResumeTimeout{10};

// QEMU's events STOP and RESUME of a domain, forwarded by libvirt. Listening does not taint.
class StopWatch {
 public:
  StopWatch(virConnect* connection, virDomain* domain)
      : connection_(connection), times_(new std::shared_ptr<Times>(std::make_shared<Times>())) {
    virConnectRef(connection);
    callback_ = virConnectDomainQemuMonitorEventRegister(connection, domain, "^(STOP|RESUME)$",
                                                         on_event, times_, forget, kPattern);
    shared_ = *times_;
    if (callback_ < 0) {
      forget(times_);
    }
  }
  StopWatch(const StopWatch&) = delete;
  StopWatch& operator=(const StopWatch&) = delete;
  ~StopWatch() {
    if (callback_ >= 0) {
      virConnectDomainQemuMonitorEventDeregister(connection_.get(), callback_);
    }
  }

  // Nothing where events cannot be had.
  std::optional<Microseconds> paused() {
    std::unique_lock lock(shared_->mutex);
    if (callback_ < 0 || !shared_->changed.wait_for(lock, kResumeTimeout, [this] {
          return shared_->stops != 0 && shared_->resumes == shared_->stops;
        })) {
      return std::nullopt;
    }
    return std::exchange(shared_->sum, {});
  }

 private:
  static constexpr unsigned kPattern = VIR_CONNECT_DOMAIN_QEMU_MONITOR_EVENT_REGISTER_REGEX;

  struct Times {
    std::mutex mutex;
    std::condition_variable changed;
    Microseconds stopped{};
    Microseconds sum{};
    unsigned stops = 0;
    unsigned resumes = 0;
  };

  static void on_event(virConnectPtr, virDomainPtr, const char* event, long long seconds,
                       unsigned micros, const char*, void* opaque) {
    Times& times = **static_cast<std::shared_ptr<Times>*>(opaque);
    const Microseconds now = std::chrono::seconds(seconds) + Microseconds(micros);
    const std::lock_guard lock(times.mutex);
    if (std::string_view(event) == "STOP") {
      ++times.stops;
      times.stopped = now;
    } else if (times.resumes < times.stops) {
      ++times.resumes;
      times.sum += std::max(Microseconds{}, now - times.stopped);
    }
    times.changed.notify_all();
  }
  static void forget(void* opaque) { delete static_cast<std::shared_ptr<Times>*>(opaque); }

  LibvirtConnection connection_;
  std::shared_ptr<Times>* times_;  // libvirt's, until it calls forget()
  std::shared_ptr<Times> shared_;
  int callback_ = -1;
};

class LibvirtMonitor : public SnapshotMonitor {
 public:
  explicit LibvirtMonitor(LibvirtGuest& guest) : guest_(guest) {}

  // Begins to listen.
  void watch() { watch_.emplace(guest_.connection(), guest_.domain()); }

  Result<Json> execute(const std::string& command, const Json& arguments = Json::object(),
                       int fd = -1) override {
    return execute_in_domain(guest_.domain(), command, arguments, fd);
  }

  // By the security label of QEMU, because nothing else can be tried. A confined QEMU that may not
  // write into the file would hang.
  Result<> try_writing(int) override;
  // By libvirt's own dump: libvirtd 9.0 crashes at the end of a dump that it did not start
  // (qemuProcessHandleDumpCompleted).
  Result<Fd> dump_header() override { return guest_.dump_header(); }
  // Without events QEMU's own figure, in milliseconds, of the snapshot alone.
  Result<Microseconds> paused(const Json& migration) override {
    const auto seen = watch_ ? watch_->paused() : std::nullopt;
    const auto told = qmp::number_member(migration, "downtime").value_or(0);
    return seen.value_or(std::chrono::milliseconds(told));
  }

 private:
  LibvirtGuest& guest_;
  std::optional<StopWatch> watch_;
};

// The label of a process or thread; empty where the host has no such labels.
std::string label_of(const std::string& task) {
  std::ifstream file(fmt::format("/proc/{}/attr/current", task));
  std::string label;
  std::getline(file, label, '\0');
  return label.substr(0, label.find('\n'));
}

Result<> LibvirtMonitor::try_writing(int) {
  TRY_ASSIGN(const Json cpus, execute("query-cpus-fast"));
  const auto thread = cpus.is_array() && !cpus.empty()
                          ? qmp::number_member(cpus.front(), "thread-id")
                          : std::nullopt;
  if (!thread || !std::filesystem::exists(fmt::format("/proc/{}", *thread))) {
    return fail(Errc::unsupported,
                "the process of the guest is not visible from here (another host, or another PID "
                "namespace)");
  }
  const std::string label = label_of(std::to_string(*thread));
  if (!label.empty() && label != label_of("self") && !label.starts_with("unconfined") &&
      label.find(":unconfined_t:") == std::string::npos) {
    return fail(Errc::unsupported,
                "QEMU is confined ({}); if it cannot write into the spool, it hangs: use "
                "--consistency pause",
                label);
  }
  return {};
}

class LibvirtSnapshotGuest : public Guest {
 public:
  LibvirtSnapshotGuest(std::unique_ptr<LibvirtGuest> guest, SpoolPlace place)
      : guest_(std::move(guest)), monitor_(*guest_), place_(std::move(place)) {}

  const std::string& name() const override { return guest_->name(); }
  GuestIdentity identity() override {
    GuestIdentity identity = guest_->identity();
    identity.qemu = ask_version([this](const std::string& command, const qmp::Json& arguments) {
      return execute_in_domain(guest_->domain(), command, arguments);
    });
    return identity;
  }
  std::vector<std::string> keys() const override { return guest_->keys(); }
  std::vector<Remark> remarks() const override {
    return {{Errc::guest_state, kTaintRemark, Severity::fact}};
  }
  Result<std::uint64_t> memory_size() override { return guest_->memory_size(); }
  Result<GuestState> state() override { return guest_->state(); }
  std::optional<std::uint64_t> host_memory() override { return guest_->host_memory(); }
  Result<> check_readable() override { return guest_->check_readable(); }
  // libvirt does not know of a snapshot of ours that was killed.
  Result<> check_idle() override {
    TRY(guest_->check_idle());
    return check_snapshot_idle(monitor_);
  }
  Result<std::vector<Remark>> mend() override { return mend_snapshot(monitor_); }
  bool needs_spool(const GuestState&) const override { return true; }
  bool in_place() const override { return false; }
  Result<std::uint64_t> growth() override { return unallocated_shared_memory(monitor_); }
  Result<Acquired> acquire(const GuestState& state, const Patience&) override {
    TRY(check_running(state));
    monitor_.watch();
    return begin_snapshot(monitor_, place_);
  }
  Result<Fd> fetch(PhysRange range) override { return guest_->fetch(range); }
  Result<ImageSource> locate(std::span<const PhysRange> blocks) override {
    return guest_->locate(blocks);
  }
  Result<ImageSource> look() override { return guest_->look(); }
  Result<> act(Then then) override { return guest_->act(then); }

 private:
  std::unique_ptr<LibvirtGuest> guest_;
  LibvirtMonitor monitor_;
  SpoolPlace place_;
};

}  // namespace

Result<std::unique_ptr<Guest>> open_libvirt_snapshot(const Selection& selection) {
  if (!selection.allow_taint) {
    return fail(Errc::invalid,
                "a snapshot of a libvirt domain needs commands to QEMU's monitor, for which "
                "libvirt marks the domain as tainted (custom-monitor) until it is shut down: allow "
                "this with --allow-taint");
  }
  TRY_ASSIGN(auto guest, LibvirtGuest::open(selection));
  return std::make_unique<LibvirtSnapshotGuest>(std::move(guest), spool_place(selection));
}

}  // namespace vmcore::acquire
