// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/cli/scratch.h"

#include <fcntl.h>
#include <stdlib.h>

#include <cerrno>
#include <filesystem>
#include <span>

#include "src/base/fd.h"
#include "src/base/sys.h"

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

Result<> Scratch::write(const char* name, std::string_view content) const {
  const std::string path = *this / name;
  const Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (!file) {
    return fail_errno(errno, path);
  }
  const Result<> written = sys::write_full(file.get(), std::as_bytes(std::span(content)));
  return written ? written : in_context(written.error(), path);
}

Scratch::~Scratch() {
  std::error_code ignored;
  if (!path_.empty()) {
    fs::remove_all(path_, ignored);
  }
}

}  // namespace vmcore::cli
