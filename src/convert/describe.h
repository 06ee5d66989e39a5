// SPDX-License-Identifier: GPL-2.0-or-later
// What a memory image tells about the guest and about itself, for `info`.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "filters/plan.h"
#include "src/base/result.h"
#include "src/convert/convert.h"
#include "src/convert/normalise.h"
#include "src/image/image.h"
#include "src/kernel/capture_kernel.h"

namespace vmcore::convert {

struct KernelFacts {
  // False where VMCOREINFO alone tells of the kernel, and memory does not show it: then there is no
  // more than the release and the build-id.
  bool in_memory = true;
  std::string release;
  std::string build_id;  // hex, empty where the kernel does not export it (before v5.9)
  kernel::InfoSource info_source = kernel::InfoSource::note;
  std::int64_t phys_base = 0;
  std::uint64_t kaslr_offset = 0;  // KERNELOFFSET, bytes
  unsigned page_table_levels = 0;
  bool panicked = false;                                // as far as that can be told
  std::optional<kernel::CaptureKernel> capture_kernel;  // nothing where that cannot be told
};

struct Description {
  std::optional<KernelFacts> kernel;  // also where only the note of the file tells of one
  std::optional<InfoPlace> place;     // of its VMCOREINFO, for the next look
  CrashTime crash_time;
  std::optional<Capture> capture;  // by us, as the file tells
  // Seconds since boot of the newest log record: the least that can be said of the time.
  std::optional<double> last_log_stamp;
  std::shared_ptr<const MemoryImage> crashed;  // as in Outcome
  // The Linux CPU of each of the image's CPUs; empty where the kernel does not tell.
  std::vector<unsigned> cpu_numbers;
  unsigned level_asked = 0;  // by whoever wrote the file; 0 where it does not tell
  unsigned level_reached = 0;
  filters::Plan plan;  // at level 0: page counts by class, RAM, what is in the file
  bool incomplete = false;
  std::vector<Remark> remarks;
};

Result<Description> describe(const MemoryImage& image, const ConvertOptions& options,
                             std::stop_token stop);

}  // namespace vmcore::convert
