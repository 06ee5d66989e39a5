// SPDX-License-Identifier: GPL-2.0-or-later
// What a guest's memory is used for, and where: page counts by class, of all of RAM and of its
// parts.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "filters/page_class.h"
#include "filters/plan.h"
#include "src/base/address.h"
#include "src/base/result.h"
#include "src/convert/convert.h"
#include "src/convert/crashed_kernel.h"
#include "src/image/image.h"

namespace vmcore::convert {

// The same number for every guest. Slightly more than a power of two, as is the memory of most
// guests together with some of their devices.
inline constexpr std::size_t kMaxMemoryBins = 4096 + 128;

struct PageCounts {
  std::array<std::uint64_t, filters::kPageClasses> by_class{};
  // Pages of the class `free` that the source knows to be zero, in runs of 64 KiB or more: never
  // touched, or given back to the host.
  std::uint64_t free_zero = 0;
};

// The RAM in [start, start + MemoryUse::bin_size); where RAM has holes that is less.
struct MemoryBin {
  PhysAddr start;  // a multiple of the size
  PageCounts pages;
};

struct MemoryUse {
  std::string release;
  std::optional<InfoPlace> place;  // of the kernel's VMCOREINFO, for the next look
  PageCounts pages;
  // The pages that a dump at the level of the options would keep.
  std::uint64_t kept_pages = 0;
  std::uint64_t excluded_before = 0;  // pages that an earlier filter left out of the file
  std::uint64_t bin_size = 0;         // bytes, a power of two
  std::vector<MemoryBin> bins;        // at most kMaxMemoryBins, ascending; each holds RAM
  bool incomplete = false;
  std::vector<Remark> remarks;
};

// Errc::not_found, or another error that says why, if no kernel tells what its pages are.
Result<MemoryUse> memory_use(const MemoryImage& image, const ConvertOptions& options,
                             const std::stop_token& stop);
// The same where the kernel of the image was looked for.
Result<MemoryUse> memory_use(const MemoryImage& image, const Subject& subject,
                             const ConvertOptions& options, const std::stop_token& stop);

}  // namespace vmcore::convert
