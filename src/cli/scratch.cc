// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/cli/scratch.h"

#include <stdlib.h>

#include <cerrno>
#include <filesystem>

namespace vmcore::cli {

namespace fs = std::filesystem;

Result<Scratch> Scratch::make() {
  std::error_code error;
  std::string path = (fs::temp_directory_path(error) / "vmcorectl-XXXXXX").string();
  if (::mkdtemp(path.data()) == nullptr) {
    return fail_errno(errno, path);
  }
  return Scratch(std::move(path));
}

Scratch::~Scratch() {
  std::error_code ignored;
  if (!path_.empty()) {
    fs::remove_all(path_, ignored);
  }
}

}  // namespace vmcore::cli
