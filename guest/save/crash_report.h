// SPDX-License-Identifier: GPL-2.0-or-later
// CrashReport: the kernel log and the reason of a crash, which are saved before any page.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/result.h"
#include "src/image/image.h"

namespace vmcore::guest::save {

struct CrashReport {
  std::string release;                      // of the kernel; empty if it was not found
  std::optional<std::uint64_t> crash_time;  // seconds since the epoch
  std::string dmesg;                        // as dmesg prints it; at most the newest 8 MiB
  std::string reason;  // the first message of the crash ("BUG: kernel NULL pointer ...")
  std::string stack;   // the log from that message on
  std::vector<Remark> remarks;
};

// Reads the report by VMCOREINFO. If the kernel or its log is not found, fields stay empty and a
// Remark says why; the pages can be saved nevertheless.
CrashReport read_crash(const MemoryImage& image);

// The last `most` bytes of a log or fewer, starting at the beginning of a line if possible: the
// newest lines describe the crash.
std::string_view newest_lines(std::string_view log, std::uint64_t most);

}  // namespace vmcore::guest::save
