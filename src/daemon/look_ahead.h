// SPDX-License-Identifier: GPL-2.0-or-later
// LookAhead: looks at domains that were started, found or armed, a while later, when they have
// booted. vmcorectl then remembers where the memory of the guest and its kernel lie
// (acquire/process/process_notes.h), and need not find that out while the guest is down.
#pragma once

#include <chrono>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

#include "src/daemon/guest_source.h"
#include "src/daemon/job_process.h"
#include "src/daemon/loop.h"

namespace vmcore::daemon {

class LookAhead {
 public:
  using Wanted = std::function<bool(const GuestId&)>;
  // The loop outlives it. `delay`: about as long as a boot. `wanted`: whether the guest runs then,
  // and would stand still after a panic.
  LookAhead(Loop& loop, std::filesystem::path vmcorectl, std::chrono::milliseconds delay,
            Wanted wanted)
      : loop_(loop), program_(std::move(vmcorectl)), delay_(delay), wanted_(std::move(wanted)) {}

  // `guest`: of libvirt, with a UUID. Guests are looked at one after another. What becomes of it
  // does not matter: what is not known is found out after the crash.
  void add(const GuestId& guest);

 private:
  void start_next();

  Loop& loop_;
  std::filesystem::path program_;
  std::chrono::milliseconds delay_;
  Wanted wanted_;
  std::vector<GuestId> waiting_ = {};  // for their time
  std::deque<GuestId> due_ = {};
  std::unique_ptr<JobProcess> job_ = nullptr;
};

}  // namespace vmcore::daemon
