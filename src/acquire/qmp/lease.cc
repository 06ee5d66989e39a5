// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/qmp/lease.h"

#include <algorithm>

namespace vmcore::acquire {
namespace {

using qmp::Json;

constexpr qmp::Milliseconds kResumeTimeout{10'000};

}  // namespace

Result<> dump_outcome(const qmp::Event& completed) {
  if (const auto error = qmp::text_member(completed.data, "error")) {
    return fail(Errc::io, "QEMU's dump failed: {}", *error);
  }
  return {};
}

Result<> check_stood_still(qmp::Client& monitor, Microseconds until) {
  TRY_ASSIGN(const auto resumed, monitor.take_event("RESUME"));
  TRY_ASSIGN(const auto reset, monitor.take_event("RESET"));
  const bool runs = resumed && resumed->time <= until;
  if (runs || (reset && reset->time <= until)) {
    return fail(Errc::guest_state, "somebody else {} the guest during the dump",
                runs ? "resumed" : "reset");
  }
  return {};
}

Result<Microseconds> QmpLease::end() {
  TRY_ASSIGN(const qmp::Event completed, monitor_.wait_event("DUMP_COMPLETED", kDumpTimeout));
  if (!running_) {
    TRY(check_stood_still(monitor_, completed.time));
    return Microseconds{};
  }
  TRY_ASSIGN(const Microseconds pause, wait_for_resume());
  if (!cut_short_) {
    TRY(dump_outcome(completed));
  }
  return pause;
}

Result<Microseconds> QmpLease::wait_for_resume() {
  TRY_ASSIGN(const Json answer, monitor_.execute("query-status"));
  TRY_ASSIGN(auto resumed, monitor_.take_event("RESUME"));
  const auto status = qmp::text_member(answer, "status");
  if (!resumed && status != "save-vm" && status != "running") {
    return Microseconds{};
  }
  if (!resumed) {
    auto event = monitor_.wait_event("RESUME", kResumeTimeout);
    if (!event) {
      return event.error().code == Errc::busy
                 ? fail(Errc::guest_state, "the guest did not resume after the dump")
                 : tl::unexpected(std::move(event).error());
    }
    resumed = *std::move(event);
  }
  TRY_ASSIGN(const auto stopped, monitor_.take_event("STOP"));
  return stopped ? std::max(Microseconds{}, resumed->time - stopped->time) : Microseconds{};
}

}  // namespace vmcore::acquire
