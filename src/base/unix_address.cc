// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/base/unix_address.h"

#include <sys/socket.h>

#include <cstring>

namespace vmcore {

Result<sockaddr_un> unix_address(const std::string& path) {
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return fail(Errc::invalid, "{}: not the path of a socket (at most 107 bytes)", path);
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

}  // namespace vmcore
