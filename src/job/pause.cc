// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/job/pause.h"

namespace vmcore::job {

using lease::Ending;

Result<> Pause::look() {
  const auto ending = holder_ ? holder_->ending() : std::nullopt;
  // What the reader did, it tells itself.
  const bool by_reader = ending == Ending::held || ending == Ending::died;
  return ending && !by_reader ? holder_->verdict() : Result<>();
}

Result<acquire::Microseconds> Pause::end() {
  static_cast<void>(let_go());
  const auto lease = std::move(lease_);
  return lease ? lease->end() : acquire::Microseconds{};
}

std::optional<Error> Pause::cause_of(Error error, const PauseLimit& limit) const {
  if (error.code == Errc::cancelled) {
    return error;
  }
  const auto ending = holder_ ? holder_->known_ending() : std::nullopt;
  if (ending == Ending::stopped || ending == Ending::stalled || ending == Ending::lost) {
    return lease::objection_to(*ending);
  }
  return ending == Ending::limit || limit.is_over() ? std::nullopt
                                                    : std::optional(std::move(error));
}

}  // namespace vmcore::job
