// SPDX-License-Identifier: GPL-2.0-or-later
// Names of block devices in configuration files, and the links that udev makes for them.
#pragma once

#include <string>
#include <string_view>

namespace vmcore::guest::root {

// Maps "UUID=1b4e" to "/dev/disk/by-uuid/1b4e", and LABEL=, PARTUUID= and PARTLABEL= likewise.
// Returns a path unchanged.
std::string device_link(std::string_view device);

}  // namespace vmcore::guest::root
