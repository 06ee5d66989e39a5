// SPDX-License-Identifier: GPL-2.0-or-later
// Where distributions put debug information of kernels.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace vmcore::debuginfo {

// ".build-id/ab/cdef.debug"; empty for what is no build-id.
std::string build_id_path(std::string_view build_id);

// Paths at which a vmlinux may be, below `root` ("" for this system), the likeliest first.
std::vector<std::string> vmlinux_places(const std::string& root, std::string_view release,
                                        std::string_view build_id);
// Folders that may have the modules of the release, in folders of their own.
std::vector<std::string> module_folders(const std::string& root, std::string_view release);

// Whether the release can be a part of a path and of a command: it is of the guest.
bool is_release(std::string_view release);

}  // namespace vmcore::debuginfo
