// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/image/driver_modules.h"

#include "guest/root/node.h"

namespace vmcore::guest::image {

std::vector<std::string> driver_modules(const root::Root& root, std::string_view device) {
  constexpr unsigned kMostDepth = 32;
  std::vector<std::string> modules;
  std::string folder(device);
  // The folder above is that of the parent device, or one that only groups devices.
  for (unsigned depth = 0; depth < kMostDepth; ++depth, folder += "/..") {
    if (const auto link = root::read_node(root, folder + "/driver/module"); link && *link) {
      const std::string& module = (*link)->content;
      modules.push_back(module.substr(module.rfind('/') + 1));
    }
  }
  return modules;
}

}  // namespace vmcore::guest::image
