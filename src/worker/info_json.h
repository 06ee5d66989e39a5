// The description of an image as the JSON document that `vmcorectl info --output json` prints.
#pragma once

#include <string>

#include "src/convert/describe.h"
#include "src/image/image.h"

namespace vmcore::worker {

// Keys are part of the command line's contract (docs/info-json.md).
std::string info_json(const MemoryImage& image, const convert::Description& description);

}  // namespace vmcore::worker
