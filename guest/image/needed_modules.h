// Which modules the capture kernel needs for which target.
#pragma once

#include <string>
#include <vector>

#include "guest/config/capture_config.h"
#include "guest/image/kernel_modules.h"
#include "guest/root/root.h"

namespace vmcore::guest::image {

struct NeededModules {
  std::vector<std::string> names;  // in the order in which they are to be loaded
  std::vector<Remark> remarks;     // targets that this kernel cannot serve
};

// Whether it is a target that its kind understands, and its disk one that init finds:
// Errc::unsupported of what has to be put together first (LVM, LUKS, RAID), of links that udev
// makes, and of a folder that this guest would not see (disk_folder.h). Of raw, whether it may be
// written over, where this is the machine that has it. Of ssh, whether the client is there and what
// it is given (check_ssh).
Result<> check_target(const root::Root& root, const config::CaptureConfig& config,
                      const config::Target& target);

// Fails where the kernel can serve none of the targets.
Result<NeededModules> needed_modules(const root::Root& root, const KernelModules& kernel,
                                     const config::CaptureConfig& config);

}  // namespace vmcore::guest::image
