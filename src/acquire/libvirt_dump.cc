#include "src/acquire/libvirt_dump.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <cerrno>
#include <thread>
#include <utility>

namespace vmcore::acquire {

struct LibvirtDump::Call {
  LibvirtDomain domain;
  std::string path;
  Fd returned;
  std::mutex mutex;
  std::condition_variable changed;
  std::optional<Result<>> outcome;

  // LIVE, so that libvirt leaves the pause to QEMU: QEMU stops the guest for its dump and lets it
  // run again when the dump ends, even if libvirt itself has died meanwhile. Without LIVE it is
  // libvirt that stops the guest first, and a guest whose libvirt dies stays stopped.
  void run() {
    constexpr unsigned kFlags = VIR_DUMP_MEMORY_ONLY | VIR_DUMP_LIVE;
    const int code = virDomainCoreDumpWithFormat(domain.get(), path.c_str(),
                                                 VIR_DOMAIN_CORE_DUMP_FORMAT_RAW, kFlags);
    Result<> result;
    if (code != 0) {
      result = libvirt_failure("libvirt's dump failed");
    }
    const std::scoped_lock lock(mutex);
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
  std::thread([call] { call->run(); }).detach();
  return std::unique_ptr<LibvirtDump>(new LibvirtDump(std::move(call)));
}

int LibvirtDump::returned_fd() const { return call_->returned.get(); }

Result<> LibvirtDump::wait(std::chrono::milliseconds timeout) {
  std::unique_lock lock(call_->mutex);
  if (!call_->changed.wait_for(lock, timeout, [this] { return call_->outcome.has_value(); })) {
    return fail(Errc::guest_state, "libvirt's dump does not end");
  }
  return *call_->outcome;
}

int PauseWatch::on_event(virConnectPtr, virDomainPtr, int event, int, void* self) {
  auto& watch = *static_cast<PauseWatch*>(self);
  const std::scoped_lock lock(watch.mutex_);
  if (event == VIR_DOMAIN_EVENT_SUSPENDED && !watch.stopped_) {
    watch.stopped_ = Clock::now();
  } else if (event == VIR_DOMAIN_EVENT_RESUMED && watch.stopped_) {
    watch.resumed_ = Clock::now();
    watch.changed_.notify_all();
  }
  return 0;
}

Result<std::unique_ptr<PauseWatch>> PauseWatch::start(virConnect* connection, virDomain* domain) {
  std::unique_ptr<PauseWatch> watch(new PauseWatch);
  const virConnectDomainEventCallback typed = on_event;
  watch->callback_ = virConnectDomainEventRegisterAny(
      connection, domain, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
      reinterpret_cast<virConnectDomainEventGenericCallback>(reinterpret_cast<void*>(typed)),
      watch.get(), nullptr);
  if (watch->callback_ < 0) {
    return libvirt_failure("events of the domain");
  }
  virConnectRef(connection);
  watch->connection_ = connection;
  return watch;
}

PauseWatch::~PauseWatch() {
  if (connection_ != nullptr) {
    virConnectDomainEventDeregisterAny(connection_, callback_);
    virConnectClose(connection_);
  }
}

Result<std::chrono::microseconds> PauseWatch::wait_resumed(std::chrono::milliseconds timeout) {
  std::unique_lock lock(mutex_);
  if (!changed_.wait_for(lock, timeout, [this] { return resumed_.has_value(); })) {
    return fail(Errc::guest_state, "the guest does not run again after the dump");
  }
  return std::chrono::duration_cast<std::chrono::microseconds>(*resumed_ - *stopped_);
}

}  // namespace vmcore::acquire
