// SPDX-License-Identifier: GPL-2.0-or-later
// A file of metrics that somebody changed. The counters that are read from it survive another write
// and read, and their text stays small.
#include <cstdlib>

#include "src/daemon/metrics.h"
#include "tests/fuzz/change.h"

namespace {

using namespace vmcore::daemon;

std::vector<std::string> texts() {
  Metrics metrics;
  metrics.count_crash("panic", "a \"quoted\" \\ text", 3);
  metrics.count_crash("hang", "");
  metrics.count_dump(DumpOutcome::kept, 12345);
  metrics.count_hook(false);
  metrics.took(Took::to_flash, std::chrono::milliseconds(400));
  metrics.took(Took::pause, std::chrono::hours(1));
  return {metrics.text(), Metrics().text()};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::vector<std::string> originals = texts();
  Metrics first;
  first.restore(vmcore::fuzz::changed_text(originals, std::as_bytes(std::span(data, size))));
  const std::string text = first.text();
  Metrics again;
  again.restore(text);
  if (again.text() != text || text.size() > (1U << 16)) {
    std::abort();
  }
  return 0;
}
