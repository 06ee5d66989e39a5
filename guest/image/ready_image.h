// SPDX-License-Identifier: GPL-2.0-or-later
// The capture image for a load: an up-to-date image if one can be built, otherwise an older image
// that still works.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "guest/root/root.h"
#include "src/base/result.h"

namespace vmcore::guest::image {

// The path of an image that cannot be stored in the state folder: in memory, until the next boot.
std::string volatile_image_path(std::string_view release);

// Whether the path is that of an image that `load` builds for the release.
bool is_our_image(std::string_view path, std::string_view release);

struct ReadyImage {
  std::string path;
  std::vector<Remark> remarks;  // why it is not an up-to-date image in the state folder
  bool older = false;           // no image could be built: this is an older one
};

// Builds the image of a release into the given file; the folder exists.
using BuildImage = std::function<Result<>(const std::string& path)>;

// Tries in this order: the image in the state folder if it is not stale; a new image there; a new
// image in /run; an older image that is undamaged, was built for `release`, and seals to the
// configured key. The error is that of the build. A failed build is remembered until the next boot,
// with `now`, the time since this boot.
Result<ReadyImage> ready_image(const root::Root& root, std::string_view release,
                               const BuildImage& build, std::chrono::seconds now);

// Whether a timer should build again: not for half an hour after a build failed, then for twice as
// long after each further failure, up to four hours.
bool may_build_again(const root::Root& root, std::chrono::seconds now);

}  // namespace vmcore::guest::image
