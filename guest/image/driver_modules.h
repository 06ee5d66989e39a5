// SPDX-License-Identifier: GPL-2.0-or-later
// The drivers of a device of the running machine, from sysfs.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "guest/root/root.h"

namespace vmcore::guest::image {

// The modules that drive a device, given by its folder in /sys ("/sys/class/block/sda1"), and its
// parent devices: "sd_mod", "virtio_scsi", "virtio_pci". None if the device does not exist or its
// drivers are built in.
std::vector<std::string> driver_modules(const root::Root& root, std::string_view device);

}  // namespace vmcore::guest::image
