// SPDX-License-Identifier: GPL-2.0-or-later
// A guest with words of its memory and lines of its VMCOREINFO changed: its kernel log.
#include "src/kernel/printk_log.h"
#include "tests/builders/kernel_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace vmcore::kernel;
  const vmcore::MemoryImage image = vmcore::testing::fuzzed_image({data, size});
  const auto found = find_kernels(image, Search::registers);
  for (const GuestKernel& kernel : found->kernels) {
    static_cast<void>(read_printk_log(kernel, [](const LogRecord& record) {
      const std::string line = format_log_record(record);
      if (line.empty() || line.back() != '\n') {
        __builtin_trap();
      }
      return true;
    }));
  }
  return 0;
}
