// Draft: what can be found out about a guest, and made ready, while it still runs, so that it
// stands still for less: which kernel it has, how much of its memory will be kept, and room for
// that.
//
// Nothing of it is believed later without being looked at again: the kernel is validated, and the
// plan is made anew.
#pragma once

#include <chrono>
#include <cstdint>
#include <stop_token>

#include "src/base/result.h"
#include "src/convert/convert.h"
#include "src/convert/shard_room.h"
#include "src/image/image.h"
#include "src/kernel/guest_kernel.h"

namespace vmcore::convert {

struct Draft {
  kernel::FoundKernels kernels;
  ShardRoom room;                     // as much as will probably be needed was written to
  std::uint64_t kept_pages = 0;       // by the struct pages as they are now
  std::chrono::microseconds pause{};  // for how long the guest will probably stand still
};

// Reads the guest as the dump will, and throws away what was read. The image must outlive the
// draft.
Result<Draft> make_draft(const MemoryImage& image, const ConvertOptions& options,
                         std::stop_token stop);

}  // namespace vmcore::convert
