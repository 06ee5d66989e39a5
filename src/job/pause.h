// Pause: the guest stands still as long as this is held.
#pragma once

#include <memory>
#include <utility>

#include "src/acquire/guest.h"

namespace vmcore::job {

// Move-only. What reads from the lease's pipe must be closed before it ends, explicitly or by the
// destructor: declare it before the reader. Should this process be killed, the kernel closes the
// pipe, and QEMU ends the pause.
class Pause {
 public:
  Pause() = default;
  explicit Pause(std::unique_ptr<acquire::Lease> lease) : lease_(std::move(lease)) {}
  Pause(Pause&&) = default;
  Pause& operator=(Pause&&) = default;
  ~Pause() { static_cast<void>(end()); }

  // Lets the guest run, if it did before; for how long it stood still. Zero where nothing is held.
  Result<acquire::Microseconds> end() {
    const auto lease = std::move(lease_);
    return lease ? lease->end() : acquire::Microseconds{};
  }

 private:
  std::unique_ptr<acquire::Lease> lease_;
};

}  // namespace vmcore::job
