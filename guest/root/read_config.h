// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "guest/config/capture_config.h"
#include "guest/root/root.h"

namespace vmcore::guest::root {

// The configuration of the guest; the defaults if there is no file.
Result<config::CaptureConfig> read_config(const Root& root);

}  // namespace vmcore::guest::root
