// SPDX-License-Identifier: GPL-2.0-or-later
// Cpio: an archive in the format of an initramfs ("newc",
// Documentation/driver-api/early-userspace/buffer-format.rst). Equal files give equal bytes: there
// are no times, root owns all files, and inodes are numbered in order.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "src/base/result.h"

namespace vmcore::guest::image {

class Cpio {
 public:
  // Names have no leading slash. Add a folder before its files.
  void add_folder(std::string_view name) { add(name, 040755, ""); }
  // Errc::limit for content larger than 4 GiB.
  Result<> add_file(std::string_view name, unsigned permissions, std::string_view content);
  // Completes the archive and returns it.
  std::string finish();

 private:
  void add(std::string_view name, unsigned mode, std::string_view content);

  std::string bytes_;
  unsigned inode_ = 0;
};

// The content of one file of an archive; nothing if the archive ends, or is damaged, before the
// file. The view points into `archive`.
std::optional<std::string_view> find_in_cpio(std::string_view archive, std::string_view name);

// The first of several concatenated archives, with its trailer; nothing if it has no trailer.
std::optional<std::string_view> first_cpio(std::string_view archives);

}  // namespace vmcore::guest::image
