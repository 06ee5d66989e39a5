// Draft: what can be found out about a guest, and made ready, while it still runs, so that it
// stands still for less: which kernel it has, how much of its memory will be kept, and room for
// that.
//
// Nothing of it is believed later without being looked at again: the kernel is validated, the plan
// is made anew, and what that keeps beyond the draft's pages is read as well.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <stop_token>

#include "src/base/result.h"
#include "src/convert/convert.h"
#include "src/image/image.h"
#include "src/image/page_set.h"
#include "src/kernel/guest_kernel.h"

namespace vmcore::convert {

struct Draft {
  kernel::FoundKernels kernels;
  PageSet pages;  // that were kept by the struct pages as they were, and were not holes
  std::uint64_t kept_pages = 0;       // with holes
  std::chrono::microseconds pause{};  // for how long the guest will probably stand still
};

// Reads the guest as the dump will, into the room that this will use, and throws away what was
// read. The image must outlive the draft.
Result<Draft> make_draft(const MemoryImage& image, const ConvertOptions& options,
                         std::span<std::byte> room, std::stop_token stop);

}  // namespace vmcore::convert
