// SPDX-License-Identifier: GPL-2.0-or-later
// The disks and partitions on which the device of a target is, and whether a capture kernel, which
// has neither udev nor the tools of LVM, can set the device up.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "guest/config/capture_config.h"
#include "guest/root/root.h"
#include "src/base/result.h"

namespace vmcore::guest::image {

// On the machine that has the device, its path without links; otherwise the device as it is
// configured.
std::string device_path(const root::Root& root, const config::Target& target);

// The id of the logical volume of LVM that the device is; nothing if it is none, and for an image.
std::optional<std::string> volume_id(const root::Root& root, const std::string& device);

// Their paths: the device itself, or the disks of a logical volume. Errc::unsupported for LUKS,
// RAID, and volumes that find_volume (guest/save/lvm_metadata.h) or this machine's /sys shows to
// need more than that; also for a link that udev makes.
Result<std::vector<std::string>> target_disks(const root::Root& root, const config::Target& target);

}  // namespace vmcore::guest::image
