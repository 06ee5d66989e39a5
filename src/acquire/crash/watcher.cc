// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/crash/watcher.h"

#include <atomic>
#include <optional>
#include <utility>
#include <vector>

#include "qmp/connect.h"
#include "src/acquire/libvirt/connection.h"

namespace vmcore::acquire {
namespace {

constexpr const char* kCrashLoaded = "GUEST_CRASHLOADED";
constexpr const char* kPanicked = "GUEST_PANICKED";
constexpr const char* kReset = "RESET";

class DomainWitness final : public CrashWitness {
 public:
  DomainWitness(LibvirtConnection connection, LibvirtDomain domain)
      : connection_(std::move(connection)), domain_(std::move(domain)) {}
  ~DomainWitness() override {
    for (const int id : callbacks_) {
      virConnectDomainEventDeregisterAny(connection_.get(), id);
    }
  }
  Result<> start() {
    const virConnectDomainEventCallback lifecycle = on_lifecycle;
    TRY(listen(VIR_DOMAIN_EVENT_ID_LIFECYCLE,
               reinterpret_cast<virConnectDomainEventGenericCallback>(
                   reinterpret_cast<void*>(lifecycle))));
    return listen(VIR_DOMAIN_EVENT_ID_REBOOT, on_reset);
  }
  CrashSeen seen() override { return *seen_; }

 private:
  // Of libvirt's thread as well, which may have it for longer.
  using Shared = std::shared_ptr<std::atomic<CrashSeen>>;

  Result<> listen(int event, virConnectDomainEventGenericCallback callback) {
    auto shared = std::make_unique<Shared>(seen_);
    const int id = virConnectDomainEventRegisterAny(
        connection_.get(), domain_.get(), event, callback, shared.get(),
        [](void* opaque) { delete static_cast<Shared*>(opaque); });
    if (id < 0) {
      return libvirt_failure("events of the domain");
    }
    static_cast<void>(shared.release());
    callbacks_.push_back(id);
    return {};
  }
  static int on_lifecycle(virConnectPtr, virDomainPtr, int event, int detail, void* shared) {
    if (event == VIR_DOMAIN_EVENT_STARTED) {
      **static_cast<Shared*>(shared) = CrashSeen::no;
    } else if (event == VIR_DOMAIN_EVENT_CRASHED) {
      const bool runs_on = detail == VIR_DOMAIN_EVENT_CRASHED_CRASHLOADED;
      **static_cast<Shared*>(shared) = runs_on ? CrashSeen::runs_on : CrashSeen::stopped;
    }
    return 0;
  }
  static void on_reset(virConnectPtr, virDomainPtr, void* shared) {
    **static_cast<Shared*>(shared) = CrashSeen::no;
  }

  Shared seen_ = std::make_shared<std::atomic<CrashSeen>>(CrashSeen::no);
  LibvirtConnection connection_;
  LibvirtDomain domain_;
  std::vector<int> callbacks_;
};

class MonitorWitness final : public CrashWitness {
 public:
  explicit MonitorWitness(qmp::Client monitor) : monitor_(std::move(monitor)) {}

  Result<> start() {
    TRY_ASSIGN(const qmp::Json status, monitor_->execute("query-status"));
    const bool panicked =
        status.is_object() && status.value("status", qmp::Json()) == qmp::Json("guest-panicked");
    seen_ = panicked ? CrashSeen::stopped : CrashSeen::no;
    return {};
  }
  CrashSeen seen() override {
    std::optional<qmp::Event> last;
    for (const std::string& name : kCrashEvents) {
      while (auto event = take(name)) {
        if (!last || event->time >= last->time) {
          last = std::move(event);
        }
      }
    }
    return last ? seen_ = meaning_of(*last) : seen_;
  }

 private:
  std::optional<qmp::Event> take(const std::string& name) {
    auto event = monitor_ ? monitor_->take_event(name) : Result<std::optional<qmp::Event>>();
    if (!event) {
      monitor_.reset();
      return std::nullopt;
    }
    return *std::move(event);
  }
  static CrashSeen meaning_of(const qmp::Event& event) {
    if (event.name == kReset) {
      return CrashSeen::no;
    }
    // -action panic=none lets it go on.
    const bool runs_on =
        event.name == kCrashLoaded ||
        (event.data.is_object() && event.data.value("action", qmp::Json()) == qmp::Json("run"));
    return runs_on ? CrashSeen::runs_on : CrashSeen::stopped;
  }

  std::optional<qmp::Client> monitor_;
  CrashSeen seen_ = CrashSeen::no;
};

}  // namespace

const std::vector<std::string> kCrashEvents{kCrashLoaded, kPanicked, kReset};

Result<std::unique_ptr<CrashWitness>> watch_domain(const Selection& selection) {
  TRY_ASSIGN(LibvirtConnection connection, connect_libvirt(selection.uri));
  TRY_ASSIGN(LibvirtDomain domain,
             find_domain(connection.get(), selection.domain, selection.look_up));
  auto witness = std::make_unique<DomainWitness>(std::move(connection), std::move(domain));
  TRY(witness->start());
  return witness;
}

Result<std::unique_ptr<CrashWitness>> watch_monitor(qmp::Client monitor) {
  auto witness = std::make_unique<MonitorWitness>(std::move(monitor));
  TRY(witness->start());
  return witness;
}

Result<std::unique_ptr<CrashWitness>> watch_monitor(const std::filesystem::path& socket) {
  TRY_ASSIGN(qmp::Client monitor,
             qmp::connect(socket, {.greeting = qmp::kGreetingTimeout, .events = kCrashEvents}));
  return watch_monitor(std::move(monitor));
}

}  // namespace vmcore::acquire
