// What memory is used for as the JSON document that `vmcorectl memory --output json` prints.
#pragma once

#include <string>

#include "src/convert/memory_use.h"
#include "src/image/image.h"

namespace vmcore::worker {

// Keys are part of the command line's contract (docs/man/vmcorectl.1). `torn`: the guest ran
// meanwhile.
std::string memory_json(const MemoryImage& image, const convert::MemoryUse& use, bool torn);

}  // namespace vmcore::worker
