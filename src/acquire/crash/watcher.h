// CrashWitness: what QEMU tells of a guest's crash, beside what the guest says of itself.
//
// QEMU's events are the guest's own doing: its kernel's panic device gives them before the panic
// kernel takes over only where crash_kexec_post_notifiers is set, and whoever has its I/O ports
// can. So they confirm a crash, and their absence denies none.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include "qmp/client.h"
#include "src/acquire/method.h"
#include "src/base/result.h"

namespace vmcore::acquire {

enum class CrashSeen : std::uint8_t {
  no,
  runs_on,  // it panicked, and goes on to its panic kernel (GUEST_CRASHLOADED, QEMU 5.0)
  stopped,  // it panicked, and QEMU stopped it (GUEST_PANICKED)
};

class CrashWitness {
 public:
  virtual ~CrashWitness() = default;
  // The last of it since watching began, and since the guest was last reset. Ask now and then:
  // events are taken in meanwhile. Where nobody tells any more, it stays as it is.
  virtual CrashSeen seen() = 0;
};

// By libvirt's events.
Result<std::unique_ptr<CrashWitness>> watch_domain(const Selection& selection);
// By QEMU's own, and how the guest stands. The monitor is held for so long.
Result<std::unique_ptr<CrashWitness>> watch_monitor(const std::filesystem::path& socket);

// The same; of a client that keeps the events that it must, kCrashEvents.
extern const std::vector<std::string> kCrashEvents;
Result<std::unique_ptr<CrashWitness>> watch_monitor(qmp::Client monitor);

}  // namespace vmcore::acquire
