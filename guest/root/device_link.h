// How configuration files name block devices, and where udev has them.
#pragma once

#include <string>
#include <string_view>

namespace vmcore::guest::root {

// "/dev/disk/by-uuid/1b4e" of "UUID=1b4e", the same of LABEL=, PARTUUID= and PARTLABEL=; a path
// stays as it is.
std::string device_link(std::string_view device);

}  // namespace vmcore::guest::root
