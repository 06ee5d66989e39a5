// CrashReport: what is told of a crash before any of its pages is saved.
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
  std::string release;                      // of the kernel; empty where none was found
  std::optional<std::uint64_t> crash_time;  // seconds since the epoch
  std::string dmesg;                        // as dmesg prints it; at most the newest 8 MiB
  std::string reason;  // the first message of the crash ("BUG: kernel NULL pointer ...")
  std::string stack;   // what dmesg has from that message on
  std::vector<Remark> remarks;
};

// Reads it through the image's VMCOREINFO. A kernel or a log that is not found leaves fields empty,
// with a Remark: its pages can be saved all the same.
CrashReport read_crash(const MemoryImage& image);

// At most so many bytes of the end of a log, from the beginning of a line on where there is one:
// the newest tells of the crash.
std::string_view newest_lines(std::string_view log, std::uint64_t most);

}  // namespace vmcore::guest::save
