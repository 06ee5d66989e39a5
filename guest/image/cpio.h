// Cpio: an archive in the form that the kernel unpacks as its first file system ("newc",
// Documentation/driver-api/early-userspace/buffer-format.rst). The same files make the same bytes:
// no times, no owners but root, inodes by their order.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "src/base/result.h"

namespace vmcore::guest::image {

class Cpio {
 public:
  // Names without a leading slash; folders before what is in them.
  void add_folder(std::string_view name) { add(name, 040755, ""); }
  // Errc::limit beyond 4 GiB.
  Result<> add_file(std::string_view name, unsigned permissions, std::string_view content);
  // Ends the archive and gives it away.
  std::string finish();

 private:
  void add(std::string_view name, unsigned mode, std::string_view content);

  std::string bytes_;
  unsigned inode_ = 0;
};

// The content of one file of an archive, or nothing where it is not there, or before something that
// is no archive. The view is into `archive`.
std::optional<std::string_view> find_in_cpio(std::string_view archive, std::string_view name);

// Of archives that stand one behind another the first, with its end; nothing where it has none.
std::optional<std::string_view> first_cpio(std::string_view archives);

}  // namespace vmcore::guest::image
