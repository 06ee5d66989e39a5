// QmpLease: a dump of QEMU's own that holds a guest, as the guest's own monitor tells of it.
#pragma once

#include "qmp/client.h"
#include "src/acquire/guest.h"

namespace vmcore::acquire {

// Ends of dumps come within milliseconds; a host that is out of breath may take longer.
inline constexpr qmp::Milliseconds kDumpTimeout{60'000};

// The dump's own error, where the event DUMP_COMPLETED has one.
Result<> dump_outcome(const qmp::Event& completed);

// A dump does not resume or reset a guest that stands still, so that these events, up to that time
// of QEMU's, are not ours.
Result<> check_stood_still(qmp::Client& monitor, Microseconds until);

// A dump that goes into a pipe, until its reader has closed that.
class QmpLease : public Lease {
 public:
  // `cut_short`: the reader does not take all, so that the dump's failure is none.
  QmpLease(qmp::Client& monitor, bool running, bool cut_short)
      : monitor_(monitor), running_(running), cut_short_(cut_short) {}

  Result<Microseconds> end() override;

 private:
  // Nothing is waited for where somebody else had stopped the guest before the dump began, which
  // leaves it so: while a dump of its own holds a guest, its status is save-vm.
  Result<Microseconds> wait_for_resume();

  qmp::Client& monitor_;
  bool running_;
  bool cut_short_;
};

}  // namespace vmcore::acquire
