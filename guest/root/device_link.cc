// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/root/device_link.h"

#include <algorithm>

namespace vmcore::guest::root {

std::string device_link(std::string_view device) {
  const std::size_t equals = device.find('=');
  if (equals == std::string_view::npos) {
    return std::string(device);
  }
  std::string link = "/dev/disk/by-";
  std::ranges::transform(device.substr(0, equals), std::back_inserter(link), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return link.append("/").append(device.substr(equals + 1));
}

}  // namespace vmcore::guest::root
