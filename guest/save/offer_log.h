// SPDX-License-Identifier: GPL-2.0-or-later
// Sends the pstore records of an earlier crash to the host at the next boot. If the capture kernel
// could not send a dump, they may be all that is left of the crash.
#pragma once

#include <string_view>

#include "guest/config/capture_config.h"
#include "src/base/result.h"

namespace vmcore::guest::save {

// Sends the log over the port kPortName, sealed if a key is configured. Errc::not_found if there is
// no such port, or if nobody on the host listens now. Errc::denied if the memory of this guest is
// encrypted against its host and no key is configured.
Result<> offer_log(std::string_view log, const config::CaptureConfig& config);

}  // namespace vmcore::guest::save
