#include "src/acquire/crash_witness.h"

#include <utility>

namespace vmcore::acquire {

int CrashWitness::on_lifecycle(virConnectPtr, virDomainPtr, int event, int detail, void* shared) {
  std::atomic<CrashSeen>& seen = **static_cast<Shared*>(shared);
  if (event == VIR_DOMAIN_EVENT_STARTED) {
    seen = CrashSeen::no;
  } else if (event == VIR_DOMAIN_EVENT_CRASHED) {
    seen = detail == VIR_DOMAIN_EVENT_CRASHED_CRASHLOADED ? CrashSeen::handed_over
                                                          : CrashSeen::stopped;
  }
  return 0;
}

void CrashWitness::on_reset(virConnectPtr, virDomainPtr, void* shared) {
  **static_cast<Shared*>(shared) = CrashSeen::no;
}

Result<> CrashWitness::listen(int event, virConnectDomainEventGenericCallback callback) {
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

Result<std::unique_ptr<CrashWitness>> CrashWitness::watch(const Selection& selection) {
  TRY_ASSIGN(LibvirtConnection connection, connect_libvirt(selection.uri));
  TRY_ASSIGN(LibvirtDomain domain,
             find_domain(connection.get(), selection.domain, selection.look_up));
  std::unique_ptr<CrashWitness> witness(new CrashWitness(std::move(connection), std::move(domain)));
  const virConnectDomainEventCallback lifecycle = on_lifecycle;
  const virConnectDomainEventGenericCallback reset = on_reset;
  TRY(witness->listen(
      VIR_DOMAIN_EVENT_ID_LIFECYCLE,
      reinterpret_cast<virConnectDomainEventGenericCallback>(reinterpret_cast<void*>(lifecycle))));
  TRY(witness->listen(VIR_DOMAIN_EVENT_ID_REBOOT, reset));
  return witness;
}

CrashWitness::~CrashWitness() {
  for (const int id : callbacks_) {
    virConnectDomainEventDeregisterAny(connection_.get(), id);
  }
}

}  // namespace vmcore::acquire
