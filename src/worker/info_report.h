// SPDX-License-Identifier: GPL-2.0-or-later
// The description of an image as the report of `info`.
#pragma once

#include "src/convert/describe.h"
#include "src/image/image.h"
#include "src/report/info.h"

namespace vmcore::worker {

report::InfoReport info_report(const MemoryImage& image, const convert::Description& description);

}  // namespace vmcore::worker
