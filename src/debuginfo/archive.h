// SPDX-License-Identifier: GPL-2.0-or-later
// Packages and archives, read from the first byte to the last that is wanted: .deb and .ddeb, .rpm,
// .tar with any compression, and single compressed files.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "src/base/result.h"

namespace vmcore::debuginfo {

// What becomes of a file in an archive.
struct Choice {
  enum class What : std::uint8_t { skip, take, stop } what = What::skip;
  int fd = -1;  // of `take`: an empty regular file, borrowed
};

// Walks through the regular files of the open archive, which may be within another one (.deb).
// `choose` gets the path of each, as the archive has it; `taken` is called when all of a file is
// written. Errc::not_recognised if it is no archive; Errc::limit for one that grows beyond reason.
// It believes no archive, but call it in a confined process (confined.h).
Result<> walk_archive(int fd, const std::function<Result<Choice>(const std::string& path)>& choose,
                      const std::function<Result<>()>& taken);

}  // namespace vmcore::debuginfo
