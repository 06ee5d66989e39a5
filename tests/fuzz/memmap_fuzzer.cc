// SPDX-License-Identifier: GPL-2.0-or-later
// A guest with words of its memory and lines of its VMCOREINFO changed: its memmap.
#include "src/kernel/memmap.h"
#include "tests/builders/kernel_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace vmcore::kernel;
  const vmcore::MemoryImage image = vmcore::testing::fuzzed_image({data, size});
  const auto found = find_kernels(image, Search::registers);
  for (const GuestKernel& kernel : found->kernels) {
    const auto memmap = read_memmap(kernel);
    vmcore::Pfn end;
    for (const MemmapRun& run : memmap ? memmap->runs : std::vector<MemmapRun>{}) {
      if (run.count == 0 || run.first < end) {
        __builtin_trap();
      }
      end = run.first + run.count;
    }
    if (end.value > vmcore::kMaxPhysAddr / 4096) {
      __builtin_trap();
    }
  }
  return 0;
}
