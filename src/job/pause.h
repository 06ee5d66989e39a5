// SPDX-License-Identifier: GPL-2.0-or-later
// Pause: the guest is paused as long as this object exists, at most: its lease may end before.
#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "src/acquire/guest.h"
#include "src/base/result.h"
#include "src/job/pause_limit.h"
#include "src/lease/holder.h"

namespace vmcore::job {

// Move-only.
class Pause {
 public:
  Pause() = default;
  // A lease that is no pipe has no holder.
  explicit Pause(std::unique_ptr<acquire::Lease> lease, std::optional<lease::Holder> holder = {})
      : holder_(std::move(holder)), lease_(std::move(lease)) {}
  Pause(Pause&& other) noexcept { *this = std::move(other); }
  Pause& operator=(Pause&& other) noexcept {
    std::swap(holder_, other.holder_);
    std::swap(lease_, other.lease_);
    return *this;
  }
  ~Pause() { static_cast<void>(end()); }

  // Becomes readable when the lease has ended; -1 where that is known, or there is none.
  int fd() const { return holder_ ? holder_->fd() : -1; }
  // Call when that is readable. An Error if the lease ended although its reader lives and has not
  // let go.
  Result<> look();
  // Drops the lease, and does not wait for the guest. An Error if what was read does not count: the
  // guest may have run meanwhile.
  Result<> let_go() { return holder_ ? holder_->verdict() : Result<>(); }
  // Resumes the guest, if it ran before; returns how long it was paused. Zero if nothing is held.
  // The holder stays until this object ends, for what dies with the job.
  Result<acquire::Microseconds> end();

  // The Error that reading failed with, or what that came of where the lease was broken. Nothing if
  // that is the limit, which is the caller's to explain.
  std::optional<Error> cause_of(Error error, const PauseLimit& limit) const;

 private:
  std::optional<lease::Holder> holder_;
  std::unique_ptr<acquire::Lease> lease_;
};

}  // namespace vmcore::job
