// SPDX-License-Identifier: GPL-2.0-or-later
// The kernel modules that the capture kernel needs for the targets.
#pragma once

#include <string>
#include <vector>

#include "guest/config/capture_config.h"
#include "guest/image/kernel_modules.h"
#include "guest/root/root.h"

namespace vmcore::guest::image {

struct NeededModules {
  std::vector<std::string> names;  // in load order
  std::vector<Remark> remarks;     // one for each target that cannot work with this kernel
};

// Whether the target can work in a capture kernel. Errc::invalid if its kind is unknown or `where`
// does not fit the kind. Errc::unsupported for a device that a capture kernel does not set up
// (target_disks.h), and for a folder that this guest would not see (disk_folder.h). Also checks, on
// the machine that has it, whether a raw device may be overwritten, and the files of ssh
// (check_ssh).
Result<> check_target(const root::Root& root, const config::CaptureConfig& config,
                      const config::Target& target);

// An error if no target can work with this kernel.
Result<NeededModules> needed_modules(const root::Root& root, const KernelModules& kernel,
                                     const config::CaptureConfig& config);

}  // namespace vmcore::guest::image
