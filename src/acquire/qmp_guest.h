// A guest by its QEMU's own monitor.
//
// A running guest: QEMU's detached dump goes into a pipe, all of it; the guest runs again when the
// last byte is read. A guest that stands still: the dump's first bytes (headers and notes), then
// ranged dumps of what is asked for, so that nothing is read that is not kept.
#pragma once

#include <memory>

#include "qmp/client.h"
#include "src/acquire/guest.h"
#include "src/acquire/method.h"

namespace vmcore::acquire {

class QmpGuest : public Guest {
 public:
  // Takes over a monitor that was opened with events().
  static Result<std::unique_ptr<QmpGuest>> make(qmp::Client monitor);
  // The events that a monitor for this class must keep.
  static std::vector<std::string> events();

  const std::string& name() const override { return name_; }
  Result<std::uint64_t> memory_size() override;
  Result<GuestState> state() override;
  Result<> check_idle() override;
  bool needs_spool(const GuestState& state) const override { return state.running; }
  Result<Acquired> acquire(const GuestState& state) override;
  Result<Fd> fetch(PhysRange range) override;
  Result<> act(Then then) override;

 private:
  QmpGuest(qmp::Client monitor, std::string name)
      : monitor_(std::move(monitor)), name_(std::move(name)) {}

  // Gives QEMU a descriptor to dump into, and starts. The arguments beside it.
  Result<> start_dump(int target, qmp::Json arguments);
  // A detached dump of everything; the end that is read.
  Result<Fd> start_full_dump();
  Result<Acquired> acquire_header();
  Result<> check_stood_still();
  Result<> reset();

  qmp::Client monitor_;
  std::string name_;
};

Result<std::unique_ptr<Guest>> open_qmp_guest(const Selection& selection);

}  // namespace vmcore::acquire
