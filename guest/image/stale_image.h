// A capture image that was built earlier: where it is, and whether it still serves.
#pragma once

#include <string>
#include <string_view>

#include "guest/root/root.h"
#include "src/base/result.h"

namespace vmcore::guest::image {

// Where the capture image of a release is kept.
std::string capture_image_path(std::string_view release);

// With an ssh client and its libraries, or what others appended, it is no small file: Errc::limit
// over 64 MiB.
Result<std::string> read_image(const root::Root& root, std::string_view path);

// Missing, damaged, or older than what it is made of: the configuration, the modules, this program,
// what ssh is given; or for another network than this machine is in now, or another folder of a
// disk than it would save to now.
bool is_stale(const root::Root& root, std::string_view image, std::string_view release);

}  // namespace vmcore::guest::image
