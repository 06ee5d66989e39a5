// SPDX-License-Identifier: GPL-2.0-or-later
// A guest with words of its memory and lines of its VMCOREINFO changed: finding its kernels by the
// note, by registers and by searching, its symbols and its CPUs.
#include "src/kernel/cpus.h"
#include "src/kernel/guest_kernel.h"
#include "src/kernel/kallsyms.h"
#include "tests/builders/kernel_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace vmcore::kernel;
  vmcore::MemoryImage image = vmcore::testing::fuzzed_image({data, size});
  for (const bool with_note : {true, false}) {
    if (!with_note) {
      image.notes.clear();
    }
    const auto found = find_kernels(image, Search::memory);
    for (const GuestKernel& kernel : found->kernels) {
      if (const auto kallsyms = Kallsyms::read(kernel)) {
        static_cast<void>(linux_cpu_order(kernel, *kallsyms, image.cpus));
        static_cast<void>(read_cpu_counts(kernel, *kallsyms));
      }
    }
  }
  return 0;
}
