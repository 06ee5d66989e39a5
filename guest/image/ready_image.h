// The capture image that a load takes: up to date where one can be built, else an older one that
// still serves.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "guest/root/root.h"
#include "src/base/result.h"

namespace vmcore::guest {

// Where an image is built that cannot be kept in the state folder: in memory, until the next boot.
std::string volatile_image_path(std::string_view release);

// Whether the image is one of those that `load` builds for the release.
bool is_our_image(std::string_view path, std::string_view release);

struct ReadyImage {
  std::string path;
  std::vector<Remark> remarks;  // why it is not the one that it should be
  bool older = false;           // nothing could be built: it is as it was
};

// Builds the image of a release into the file that is named; its folder exists.
using BuildImage = std::function<Result<>(const std::string& path)>;

// In this order: the image in the state folder if it is not stale, a new one there, one in /run,
// and last an older one that is whole, was built for `release` and seals to the key that the
// configuration names now. The error is that of building. That nothing could be built is remembered
// until the next boot, with `now`, the time since this one.
Result<ReadyImage> ready_image(const Root& root, std::string_view release, const BuildImage& build,
                               std::chrono::seconds now);

// Whether a timer should try again: not for half an hour after nothing could be built, and twice as
// long each time after that, four hours at most.
bool may_build_again(const Root& root, std::chrono::seconds now);

}  // namespace vmcore::guest
