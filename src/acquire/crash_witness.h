// CrashWitness: what libvirt tells of a domain's crash, beside what the guest says of itself.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "src/acquire/libvirt_connection.h"
#include "src/acquire/method.h"
#include "src/base/result.h"

namespace vmcore::acquire {

enum class CrashSeen : std::uint8_t {
  no,
  handed_over,  // it panicked, and runs its panic kernel (QEMU's event GUEST_CRASHLOADED, 5.0)
  stopped,      // it panicked, and QEMU stopped it (GUEST_PANICKED): libvirt's on_crash is next
};

// Both events are the guest's own: its kernel's panic device drives them before the panic kernel
// only where crash_kexec_post_notifiers is set, and whoever has its I/O ports can. So they confirm
// a crash, and their absence denies none.
class CrashWitness {
 public:
  // From now on.
  static Result<std::unique_ptr<CrashWitness>> watch(const Selection& selection);
  ~CrashWitness();

  // The last that was seen since the guest was last started or reset.
  CrashSeen seen() const { return *seen_; }

 private:
  using Shared = std::shared_ptr<std::atomic<CrashSeen>>;

  CrashWitness(LibvirtConnection connection, LibvirtDomain domain)
      : connection_(std::move(connection)), domain_(std::move(domain)) {}
  Result<> listen(int event, virConnectDomainEventGenericCallback callback);
  static int on_lifecycle(virConnectPtr, virDomainPtr, int event, int detail, void* shared);
  static void on_reset(virConnectPtr, virDomainPtr, void* shared);

  Shared seen_ = std::make_shared<std::atomic<CrashSeen>>(CrashSeen::no);
  LibvirtConnection connection_;
  LibvirtDomain domain_;
  std::vector<int> callbacks_;
};

}  // namespace vmcore::acquire
