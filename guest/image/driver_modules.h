// The drivers of a device of the running machine, as sysfs shows them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "guest/root/root.h"

namespace vmcore::guest::image {

// The modules that drive the device of a folder in /sys ("/sys/class/block/sda1") and all that it
// hangs on: "sd_mod", "virtio_scsi", "virtio_pci". None of a device that is not there, or whose
// drivers are built in.
std::vector<std::string> driver_modules(const root::Root& root, std::string_view device);

}  // namespace vmcore::guest::image
