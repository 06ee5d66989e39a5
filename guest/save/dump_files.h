// SPDX-License-Identifier: GPL-2.0-or-later
// The names of the files of a dump in the folder of a target, in both layouts (config::Layout).
//
//   folders: FOLDER/TIME/vmcore, vmcore.incomplete, dmesg.txt, tag;  the reason files in FOLDER
//   flat:    FOLDER/vmcore-TIME, vmcore-TIME.incomplete, dmesg-TIME.log, tag-TIME;  the reason
//   files
//            in the folder above, as EVE-OS keeps them (lf-edge/eve, pkg/kdump/kdump.sh)
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "guest/config/capture_config.h"

namespace vmcore::guest::save {

enum class DumpFile : std::uint8_t { vmcore, incomplete, log, tag };
inline constexpr std::array kDumpFiles = {DumpFile::vmcore, DumpFile::incomplete, DumpFile::log,
                                          DumpFile::tag};

// `time` as dump_time() formats it, maybe with ".1" for the second dump of that second.
std::string dump_file(config::Layout layout, const std::string& folder, const std::string& time,
                      DumpFile file);
// The times of the dumps among the names in the folder, ascending.
std::vector<std::string> dump_times(config::Layout layout, const std::vector<std::string>& names);
// The folder of reboot-reason, reboot-stack and boot-reason.
std::string reason_folder(config::Layout layout, const std::string& folder);

}  // namespace vmcore::guest::save
