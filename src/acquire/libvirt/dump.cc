// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/libvirt/dump.h"

#include <libvirt/virterror.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "src/base/start_thread.h"

namespace vmcore::acquire {

using Clock = std::chrono::steady_clock;

namespace {

// How long after the end of a dump its events may arrive; usually they arrive before.
constexpr std::chrono::milliseconds kEventDelay{1'000};
// How often the connection is checked while an event is awaited.
constexpr std::chrono::milliseconds kLookEvery{50};

// Whether the last call may have failed for its flags, before it did anything.
bool may_refuse_flags() { return virGetLastErrorCode() == VIR_ERR_INVALID_ARG; }

// Whether the last call failed because of the file that it was to write: libvirt could not open it
// (virReportSystemError leaves errno in int1) or label it.
bool may_refuse_target() {
  const virError* const error = virGetLastError();
  if (error == nullptr) {
    return false;
  }
  return error->domain == VIR_FROM_SECURITY ||
         (error->code == VIR_ERR_SYSTEM_ERROR &&
          (error->int1 == EACCES || error->int1 == EPERM || error->int1 == ENOENT));
}

}  // namespace

struct LibvirtDump::Call {
  LibvirtDomain domain;
  std::string path;
  Fd returned;
  std::mutex mutex;
  std::condition_variable changed;
  std::optional<Result<>> outcome;
  bool target_refused = false;

  bool dump(unsigned flags) {
    return virDomainCoreDumpWithFormat(domain.get(), path.c_str(), VIR_DOMAIN_CORE_DUMP_FORMAT_RAW,
                                       VIR_DUMP_MEMORY_ONLY | flags) == 0;
  }

  // LIVE, so that libvirt leaves the pause to QEMU: QEMU stops the guest for its dump and lets it
  // run again when the dump ends, even if libvirt itself has died meanwhile. Without LIVE it is
  // libvirt that stops the guest first, and a guest whose libvirt dies stays stopped until libvirt
  // is started again. libvirt 11.5 and later refuse LIVE beside MEMORY_ONLY, before they do
  // anything (src/qemu/qemu_driver.c, qemuDomainCoreDumpWithFormat: virCheckFlags).
  void run() {
    Result<> result;
    bool refused = false;
    if (!dump(VIR_DUMP_LIVE) && !(may_refuse_flags() && dump(0))) {
      refused = may_refuse_target();
      result = libvirt_failure("libvirt's dump failed");
    }
    const std::scoped_lock lock(mutex);
    target_refused = refused;
    outcome = std::move(result);
    changed.notify_all();
    ::eventfd_write(returned.get(), 1);
  }
};

Result<std::unique_ptr<LibvirtDump>> LibvirtDump::start(virDomain* domain,
                                                        const std::string& path) {
  auto call = std::make_shared<Call>();
  call->returned = Fd(::eventfd(0, EFD_CLOEXEC));
  if (!call->returned || virDomainRef(domain) != 0) {
    return fail_errno(errno, "eventfd");
  }
  call->domain.reset(domain);
  call->path = path;
  // Detached: a call that hangs must not keep the program from ending.
  TRY_ASSIGN(std::thread thread, start_thread<std::thread>([call] { call->run(); }));
  thread.detach();
  return std::unique_ptr<LibvirtDump>(new LibvirtDump(std::move(call)));
}

int LibvirtDump::returned_fd() const { return call_->returned.get(); }

Result<> LibvirtDump::wait(std::chrono::milliseconds timeout) {
  std::unique_lock lock(call_->mutex);
  if (!call_->changed.wait_for(lock, timeout, [this] { return call_->outcome.has_value(); })) {
    return fail(Errc::guest_state, "libvirt's dump did not end in time");
  }
  return *call_->outcome;
}

bool LibvirtDump::target_refused() const {
  const std::scoped_lock lock(call_->mutex);
  return call_->target_refused;
}

struct PauseWatch::Times {
  std::mutex mutex;
  std::condition_variable changed;
  std::optional<Clock::time_point> stopped;
  std::optional<Clock::time_point> resumed;
};

int PauseWatch::on_event(virConnectPtr, virDomainPtr, int event, int, void* shared) {
  Times& times = **static_cast<std::shared_ptr<Times>*>(shared);
  const std::scoped_lock lock(times.mutex);
  if (event == VIR_DOMAIN_EVENT_SUSPENDED && !times.stopped) {
    times.stopped = Clock::now();
  } else if (event == VIR_DOMAIN_EVENT_RESUMED && times.stopped) {
    times.resumed = Clock::now();
    times.changed.notify_all();
  }
  return 0;
}

Result<std::unique_ptr<PauseWatch>> PauseWatch::start(virConnect* connection, virDomain* domain) {
  std::unique_ptr<PauseWatch> watch(new PauseWatch);
  watch->times_ = std::make_shared<Times>();
  auto shared = std::make_unique<std::shared_ptr<Times>>(watch->times_);
  const virConnectDomainEventCallback typed = on_event;
  watch->callback_ = virConnectDomainEventRegisterAny(
      connection, domain, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
      reinterpret_cast<virConnectDomainEventGenericCallback>(reinterpret_cast<void*>(typed)),
      shared.get(), [](void* opaque) { delete static_cast<std::shared_ptr<Times>*>(opaque); });
  if (watch->callback_ < 0) {
    return libvirt_failure("events of the domain");
  }
  static_cast<void>(shared.release());
  virConnectRef(connection);
  watch->connection_.reset(connection);
  return watch;
}

PauseWatch::~PauseWatch() {
  if (callback_ >= 0) {
    virConnectDomainEventDeregisterAny(connection_.get(), callback_);
  }
}

Result<std::chrono::microseconds> PauseWatch::wait_resumed(std::chrono::milliseconds timeout) {
  const Clock::time_point called = Clock::now();
  while (true) {
    const bool alive = virConnectIsAlive(connection_.get()) == 1;
    std::unique_lock lock(times_->mutex);
    if (!alive && !times_->resumed) {  // no event tells: QEMU let it run when its dump ended
      times_->stopped = times_->stopped.value_or(begun_);
      times_->resumed = Clock::now();
    }
    if (times_->resumed) {
      return std::chrono::duration_cast<std::chrono::microseconds>(*times_->resumed -
                                                                   *times_->stopped);
    }
    const auto waited = Clock::now() - called;
    if (!times_->stopped && waited >= std::min(timeout, kEventDelay)) {
      return std::chrono::microseconds{};
    }
    if (waited >= timeout) {
      return fail(Errc::guest_state, "the guest did not resume after the dump");
    }
    times_->changed.wait_for(lock, kLookEvery);
  }
}

}  // namespace vmcore::acquire
