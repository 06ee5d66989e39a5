#pragma once

#include "guest/config/capture_config.h"
#include "guest/root/root.h"

namespace vmcore::guest::root {

// What is configured of a capture; the defaults where there is no file.
Result<config::CaptureConfig> read_config(const Root& root);

}  // namespace vmcore::guest::root
