// SPDX-License-Identifier: GPL-2.0-or-later
// A guest with words of its memory and lines of its VMCOREINFO changed: its zones, its free lists
// and per-CPU lists, its BTF, and the plan that comes of them.
#include "filters/plan.h"
#include "filters/zones.h"
#include "tests/builders/kernel_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace vmcore;
  const MemoryImage image = testing::fuzzed_image({data, size});
  const auto found = kernel::find_kernels(image, kernel::Search::registers);
  for (const kernel::GuestKernel& kernel : found->kernels) {
    if (const auto zones = filters::read_zones(kernel)) {
      const auto count = filters::count_free(kernel, *zones);
      const auto layout = filters::read_page_layout(kernel.info(), 64);
      const auto field = layout ? filters::find_zone_field(kernel, *zones, *layout) : std::nullopt;
      if (zones->size() > 65536 || (count && count->listed.value_or(0) >> 52 > 1) ||
          (field && field->shift > 63)) {
        __builtin_trap();
      }
    }
    const auto plan = filters::make_plan(*image.memory, &kernel, 0, {}, {});
    if (!plan || plan->kept_pages > plan->ram_pages || plan->kept.count() != plan->kept_pages) {
      __builtin_trap();
    }
  }
  return 0;
}
