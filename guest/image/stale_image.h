// SPDX-License-Identifier: GPL-2.0-or-later
// The capture image that was built earlier: its path, and whether it is up to date.
#pragma once

#include <string>
#include <string_view>

#include "guest/root/root.h"
#include "src/base/result.h"

namespace vmcore::guest::image {

// The path of the capture image of a release.
std::string capture_image_path(std::string_view release);

// Reads an image. An image with an ssh client and its libraries, or with appended archives, may be
// large: Errc::limit over 64 MiB.
Result<std::string> read_image(const root::Root& root, std::string_view path);

// Whether the image is missing, damaged, or out of date: older than the configuration, the modules,
// this program or the files of ssh; or built for other network settings, or for another folder on a
// disk, than it would be built for now.
bool is_stale(const root::Root& root, std::string_view image, std::string_view release);

}  // namespace vmcore::guest::image
