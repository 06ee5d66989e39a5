// SPDX-License-Identifier: GPL-2.0-or-later
// QmpLease: a dump by QEMU that pauses a guest, observed through the guest's own monitor.
#pragma once

#include "qmp/client.h"
#include "src/acquire/guest.h"

namespace vmcore::acquire {

// A dump ends within milliseconds; an overloaded host may take longer.
inline constexpr qmp::Milliseconds kDumpTimeout{60'000};

// The dump's own error, where the event DUMP_COMPLETED has one.
Result<> dump_outcome(const qmp::Event& completed);

// A dump does not resume or reset a guest that stands still, so that these events, up to that time
// of QEMU's, are not ours.
Result<> check_stood_still(qmp::Client& monitor, Microseconds until);

// A dump that goes into a pipe, until its reader has closed that.
class QmpLease : public Lease {
 public:
  // `cut_short`: the reader does not read everything, so QEMU's error is expected.
  QmpLease(qmp::Client& monitor, bool running, bool cut_short)
      : monitor_(monitor), running_(running), cut_short_(cut_short) {}

  Result<Microseconds> end() override;

 private:
  // Does not wait if somebody else had paused the guest before the dump began: the guest then stays
  // paused. While a dump pauses a guest, its status is save-vm.
  Result<Microseconds> wait_for_resume();

  qmp::Client& monitor_;
  bool running_;
  bool cut_short_;
};

}  // namespace vmcore::acquire
