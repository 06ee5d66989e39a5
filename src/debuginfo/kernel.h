// SPDX-License-Identifier: GPL-2.0-or-later
// The kernel whose debug information is looked for, and whether a file is of it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "src/base/result.h"
#include "src/debuginfo/debug_file.h"

namespace vmcore::debuginfo {

struct WantedModule {
  std::string name;           // with underscores
  std::string build_id = {};  // hex; empty where it is not known
  bool out_of_tree = false;   // no package of the kernel has it
};

// All texts are of the guest.
struct WantedKernel {
  std::string release = {};
  std::string build_id = {};  // hex; empty where it is not known
  std::string banner = {};    // "Linux version ..."; empty where it is not known
  bool modules_known = false;
  std::vector<WantedModule> modules = {};
};

// By what a file is known to be of the kernel: "build-id"; "banner", which tells compiler and time
// of the build; "release", which several builds may share; for a module also "folder", that of the
// release. Errc::invalid, with what it is instead, where it is another file.
Result<std::string> match_vmlinux(const WantedKernel& kernel, const DebugFile& file);
// `in_folder`: the file is in a folder of the release.
Result<std::string> match_module(const WantedKernel& kernel, const WantedModule& module,
                                 const DebugFile& file, bool in_folder);

// The name of the module that a file name is of, or "": "virtio_net" of "virtio-net.ko.debug".
std::string module_of(std::string_view file_name);

}  // namespace vmcore::debuginfo
