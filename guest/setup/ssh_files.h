// What the client of a target "ssh" is and reads: what goes into the image for it.
#pragma once

#include <string>
#include <vector>

#include "guest/config/capture_config.h"
#include "guest/setup/root.h"
#include "src/base/result.h"

namespace vmcore::guest {

struct ImageFile {
  std::string path;
  unsigned permissions;
  std::string content;
};

// All of them, or what is missing.
Result<std::vector<ImageFile>> ssh_files(const Root& root, const SshConfig& ssh);

}  // namespace vmcore::guest
