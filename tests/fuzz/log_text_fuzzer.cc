// SPDX-License-Identifier: GPL-2.0-or-later
// The text of a kernel log: consoles of crashes with changes, or any bytes.
#include "src/triage/log_text.h"

#include <vector>

#include "tests/builders/log_texts.h"
#include "tests/fuzz/change.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace vmcore;
  static const std::vector<std::string> texts = [] {
    std::vector<std::string> all;
    for (const testing::LogSample& sample : testing::kLogSamples) {
      all.emplace_back(sample.text);
    }
    return all;
  }();
  const std::string text = fuzz::changed_text(texts, std::as_bytes(std::span(data, size)));
  const triage::LogText log = triage::read_log_text(text);
  if (!log.crash) {
    return 0;
  }
  const triage::LogReport& report = log.crash->report;
  if (triage::signature_of(report).family.size() != 16 || report.sentence.size() > 1024 ||
      report.frames.size() > 512) {
    __builtin_trap();
  }
  return 0;
}
