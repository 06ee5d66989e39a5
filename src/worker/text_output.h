// SPDX-License-Identifier: GPL-2.0-or-later
// TextOutput: the text that a job writes, bounded while it is written: a small file can make a log
// of any length, and the output may lie in memory.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "src/base/result.h"

namespace vmcore::worker {

class TextOutput {
 public:
  // `file` is borrowed. More than `most` bytes are not written.
  TextOutput(int file, std::uint64_t most) : file_(file), room_(most) {}

  // Errc::limit where that is too much in all; what came before is written or not.
  Result<> append(std::string_view text);
  // Writes what was collected. Call it at the end.
  Result<> flush();

 private:
  int file_;
  std::uint64_t room_;  // bytes that may still be appended
  std::string collected_;
};

}  // namespace vmcore::worker
