// SPDX-License-Identifier: GPL-2.0-or-later
// PanicEvents of all guests of a libvirt connection.
#include <libvirt/libvirt-qemu.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <deque>
#include <iterator>
#include <mutex>
#include <utility>

#include "src/acquire/crash/panic_events.h"
#include "src/acquire/libvirt/connection.h"
#include "src/acquire/libvirt/state.h"
#include "src/base/fd.h"
#include "src/base/wall_clock.h"

namespace vmcore::acquire {
namespace {

using Kind = GuestEvent::Kind;
using std::chrono::microseconds;

// Between libvirt's thread, which adds, and ours.
class Queue {
 public:
  Queue() : waiting_fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

  int fd() const { return waiting_fd_.get(); }

  void add(GuestEvent event) {
    const std::lock_guard lock(mutex_);
    const auto same = [&](const GuestEvent& other) { return other.uuid == event.uuid; };
    if (static_cast<std::size_t>(std::ranges::count_if(events_, same)) >= kMostWaiting) {
      events_.erase(std::prev(std::ranges::find_if(events_.rbegin(), events_.rend(), same).base()));
    }
    events_.push_back(std::move(event));
    wake();
  }

  // What was found is older than all events that came since.
  void add_found(std::vector<GuestEvent> found) {
    const std::lock_guard lock(mutex_);
    events_.insert(events_.begin(), std::move_iterator(found.begin()),
                   std::move_iterator(found.end()));
    wake();
  }

  std::optional<GuestEvent> take() {
    const std::lock_guard lock(mutex_);
    if (events_.empty()) {
      std::uint64_t count = 0;
      if (::read(waiting_fd_.get(), &count, sizeof count) < 0) {
        // It is not readable already.
      }
      return std::nullopt;
    }
    GuestEvent event = std::move(events_.front());
    events_.pop_front();
    return event;
  }

 private:
  void wake() const {
    const std::uint64_t one = 1;
    if (::write(waiting_fd_.get(), &one, sizeof one) < 0) {
      // It is readable already.
    }
  }

  std::mutex mutex_;
  std::deque<GuestEvent> events_;
  Fd waiting_fd_;
};

// libvirt may call back for some time after this object was destroyed.
struct Shared {
  Queue queue;
  bool monitor = false;  // QEMU's own events are registered for
};
using SharedPtr = std::shared_ptr<Shared>;

Shared& shared_of(void* opaque) { return **static_cast<SharedPtr*>(opaque); }
void drop_shared(void* opaque) { delete static_cast<SharedPtr*>(opaque); }

GuestEvent event_of(virDomain* domain, Kind kind, std::string details = {}) {
  const char* const name = virDomainGetName(domain);
  details.resize(std::min(details.size(), kMaxDetails));
  return {.kind = kind,
          .name = name != nullptr ? name : "",
          .uuid = uuid_of(domain),
          .time = wall_clock(),
          .details = std::move(details)};
}

// Why a QEMU has ended.
const char* word_for_stop(int detail) {
  switch (detail) {
    case VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN:
      return "shutdown";
    case VIR_DOMAIN_EVENT_STOPPED_DESTROYED:
      return "destroyed";
    case VIR_DOMAIN_EVENT_STOPPED_CRASHED:
      return "crashed";
    case VIR_DOMAIN_EVENT_STOPPED_MIGRATED:
      return "migrated";
    case VIR_DOMAIN_EVENT_STOPPED_SAVED:
      return "saved";
    case VIR_DOMAIN_EVENT_STOPPED_FAILED:
      return "failed";
    default:
      return "";
  }
}

int on_lifecycle(virConnectPtr, virDomainPtr domain, int event, int detail, void* opaque) {
  Shared& shared = shared_of(opaque);
  const auto kind = kind_of_lifecycle(event, detail);
  const bool known = shared.monitor && event == VIR_DOMAIN_EVENT_CRASHED;  // by on_monitor()
  if (kind && !known) {
    const char* const why = event == VIR_DOMAIN_EVENT_STOPPED ? word_for_stop(detail) : "";
    shared.queue.add(event_of(domain, *kind, why));
  }
  return 0;
}

void on_reset(virConnectPtr, virDomainPtr domain, void* opaque) {
  shared_of(opaque).queue.add(event_of(domain, Kind::reset));
}

void on_watchdog(virConnectPtr, virDomainPtr domain, int, void* opaque) {
  shared_of(opaque).queue.add(event_of(domain, Kind::watchdog));
}

void on_monitor(virConnectPtr, virDomainPtr domain, const char* name, long long seconds,
                unsigned micros, const char* details, void* opaque) {
  const std::string text = details != nullptr ? details : "";
  const auto kind = kind_of_event(name, qmp::parse_object(text).value_or(qmp::Json::object()));
  if (!kind) {
    return;
  }
  GuestEvent event = event_of(domain, *kind, text);
  event.time = microseconds(std::chrono::seconds(seconds)) + microseconds(micros);
  shared_of(opaque).queue.add(std::move(event));
}

void on_close(virConnectPtr, int, void* opaque) {
  shared_of(opaque).queue.add({.kind = Kind::connection_lost,
                               .time = wall_clock(),
                               .details = "libvirt closed the connection"});
}

class DomainEvents final : public PanicEvents {
 public:
  explicit DomainEvents(LibvirtConnection connection) : connection_(std::move(connection)) {}
  ~DomainEvents() override {
    virConnect* const connection = connection_.get();
    for (const int id : callbacks_) {
      virConnectDomainEventDeregisterAny(connection, id);
    }
    for (const int id : monitor_callbacks_) {
      virConnectDomainQemuMonitorEventDeregister(connection, id);
    }
    if (closes_) {
      virConnectUnregisterCloseCallback(connection, on_close);
    }
  }

  int fd() const override { return shared_->queue.fd(); }
  std::optional<GuestEvent> next() override { return shared_->queue.take(); }

  Result<> start() {
    listen_for_close();
    listen_to_monitor("GUEST_PANICKED");
    listen_to_monitor("GUEST_CRASHLOADED");
    shared_->monitor = monitor_callbacks_.size() == 2;
    TRY(listen(VIR_DOMAIN_EVENT_ID_LIFECYCLE, on_lifecycle));
    TRY(listen(VIR_DOMAIN_EVENT_ID_REBOOT, on_reset));
    TRY(listen(VIR_DOMAIN_EVENT_ID_WATCHDOG, on_watchdog));
    return list();
  }

 private:
  template <class Callback>
  Result<> listen(int event, Callback callback) {
    auto shared = std::make_unique<SharedPtr>(shared_);
    const int id = virConnectDomainEventRegisterAny(
        connection_.get(), nullptr, event,
        reinterpret_cast<virConnectDomainEventGenericCallback>(reinterpret_cast<void*>(callback)),
        shared.get(), drop_shared);
    if (id < 0) {
      return libvirt_failure("events of the domains");
    }
    static_cast<void>(shared.release());
    callbacks_.push_back(id);
    return {};
  }

  // Not every driver has them; then libvirt's own event has to do, without details.
  void listen_to_monitor(const char* event) {
    auto shared = std::make_unique<SharedPtr>(shared_);
    const int id = virConnectDomainQemuMonitorEventRegister(
        connection_.get(), nullptr, event, on_monitor, shared.get(), drop_shared, 0);
    if (id >= 0) {
      static_cast<void>(shared.release());
      monitor_callbacks_.push_back(id);
    }
  }

  // An embedded driver has no connection that could be lost.
  void listen_for_close() {
    auto shared = std::make_unique<SharedPtr>(shared_);
    closes_ = virConnectRegisterCloseCallback(connection_.get(), on_close, shared.get(),
                                              drop_shared) == 0;
    if (closes_) {
      static_cast<void>(shared.release());
    }
  }

  Result<> list() {
    virDomainPtr* domains = nullptr;
    const int count =
        virConnectListAllDomains(connection_.get(), &domains, VIR_CONNECT_LIST_DOMAINS_ACTIVE);
    if (count < 0) {
      return libvirt_failure("the list of domains");
    }
    const std::unique_ptr<virDomainPtr, decltype(&std::free)> list(domains, std::free);
    std::vector<GuestEvent> found;
    for (int i = 0; i < count; ++i) {
      const LibvirtDomain domain(domains[i]);
      int state = VIR_DOMAIN_NOSTATE;
      int reason = 0;
      if (virDomainGetState(domain.get(), &state, &reason, 0) == 0) {  // else it has just ended
        const CrashWord word = crash_word(state, reason);
        found.push_back(event_of(domain.get(), word == CrashWord::yes     ? Kind::panicked
                                               : word == CrashWord::maybe ? Kind::after_crash
                                                                          : Kind::started));
        found.back().found = true;
      }
    }
    shared_->queue.add_found(std::move(found));
    return {};
  }

  SharedPtr shared_ = std::make_shared<Shared>();
  LibvirtConnection connection_;
  std::vector<int> callbacks_;
  std::vector<int> monitor_callbacks_;
  bool closes_ = false;
};

}  // namespace

std::optional<Kind> kind_of_lifecycle(int event, int detail) {
  switch (event) {
    case VIR_DOMAIN_EVENT_STARTED:
      return Kind::started;
    case VIR_DOMAIN_EVENT_STOPPED:
      return Kind::stopped;
    case VIR_DOMAIN_EVENT_SHUTDOWN:
      return Kind::shutdown;
    case VIR_DOMAIN_EVENT_CRASHED:
      return detail == VIR_DOMAIN_EVENT_CRASHED_CRASHLOADED ? Kind::crash_loaded : Kind::panicked;
    default:
      return std::nullopt;
  }
}

Result<std::unique_ptr<PanicEvents>> events_of_libvirt(const std::string& uri) {
  TRY_ASSIGN(LibvirtConnection connection, connect_libvirt(uri));
  auto events = std::make_unique<DomainEvents>(std::move(connection));
  TRY(events->start());
  return events;
}

}  // namespace vmcore::acquire
