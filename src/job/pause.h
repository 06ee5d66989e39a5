// SPDX-License-Identifier: GPL-2.0-or-later
// Pause: the guest is paused as long as this object exists.
#pragma once

#include <memory>
#include <utility>

#include "src/acquire/guest.h"

namespace vmcore::job {

// Move-only. The reader of the lease's pipe must be closed before this ends, explicitly or by the
// destructor: declare this before the reader. If this process is killed, the kernel closes the
// pipe, and QEMU ends the pause.
class Pause {
 public:
  Pause() = default;
  explicit Pause(std::unique_ptr<acquire::Lease> lease) : lease_(std::move(lease)) {}
  Pause(Pause&&) = default;
  Pause& operator=(Pause&&) = default;
  ~Pause() { static_cast<void>(end()); }

  // Resumes the guest, if it ran before; returns how long it was paused. Zero if nothing is held.
  Result<acquire::Microseconds> end() {
    const auto lease = std::move(lease_);
    return lease ? lease->end() : acquire::Microseconds{};
  }

 private:
  std::unique_ptr<acquire::Lease> lease_;
};

}  // namespace vmcore::job
