// What an earlier crash left in pstore is offered to the host at the next boot: to a guest whose
// capture kernel could not send anything, that may be all there is.
#pragma once

#include <string_view>

#include "guest/config/capture_config.h"
#include "src/base/result.h"

namespace vmcore::guest::save {

// Through the port that a capture kernel sends dumps by (kPortName), where somebody listens at its
// other end now: Errc::not_found where nobody does, or there is no such port. Sealed,
// where that is configured; Errc::denied where it is not, and this guest's memory is encrypted
// against its host.
Result<> offer_log(std::string_view log, const config::CaptureConfig& config);

}  // namespace vmcore::guest::save
