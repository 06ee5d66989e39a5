// SPDX-License-Identifier: GPL-2.0-or-later
// The files in the folder of a stored crash (docs/store.md), and what they say of it.
#pragma once

#include <string>

#include "src/base/result.h"
#include "src/report/manifest.h"

namespace vmcore::job {

inline constexpr const char* kDumpName = "vmcore";
// The kernel log, as kexec-tools calls it.
inline constexpr const char* kLogName = "vmcore-dmesg.txt";
// The same while `receive` writes it beside the dump.
inline constexpr const char* kReceivedLogName = "vmcore.dmesg";
inline constexpr const char* kReportName = "report.json";
inline constexpr const char* kReportTextName = "report.txt";  // its first screen, for people
inline constexpr const char* kEventName = "event.json";
inline constexpr const char* kRegistersName = "registers.txt";
inline constexpr const char* kConsoleName = "console.txt";

// vault::Describe: vmcore-worker opens the dump in the folder, and the manifest takes what the dump
// and its report say. The kernel log and the report are written beside the dump where they are not
// there.
Result<> describe_crash(report::Manifest& manifest, const std::string& folder);

}  // namespace vmcore::job
