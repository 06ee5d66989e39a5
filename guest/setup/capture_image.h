// The capture image: the first file system of a capture kernel, a cpio archive with init, its
// configuration, and the modules it needs of one kernel. The same of all these make the same bytes.
//
// Not compressed as a whole: unpacking is what needs most memory in a capture kernel, and there is
// least. Its modules are, each alone: init unpacks one at a time, its bytes and its signature are
// those of the distribution.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "guest/config/capture_config.h"
#include "guest/setup/root.h"
#include "src/base/result.h"

namespace vmcore::guest {

// What an image was made of. The file kImageManifest in it, KEY=VALUE lines: RELEASE, INIT, CONFIG,
// MODULES, FILES.
struct ImageManifest {
  std::string release;  // of the kernel
  std::string init;     // SHA-256 of the program
  std::string config;   // SHA-256 of format_config()
  std::string modules;  // SHA-256 of their paths and of the files as they are installed
  std::string files;    // SHA-256 of the paths and the content of what else its targets need
  bool operator==(const ImageManifest&) const = default;
};

struct ImageParts {
  std::string release;
  std::string init;  // the program
  CaptureConfig config;
};

struct CaptureImage {
  std::string bytes;
  ImageManifest manifest;
  std::vector<std::string> modules;  // paths in the root, in the order in which they are loaded
  std::vector<Remark> remarks;
};

// Taken for the size of an image that is not built yet: kImageAssumed, and what its targets need
// beside modules.
std::uint64_t assumed_image_size(const Root& root);

Result<CaptureImage> make_capture_image(const Root& root, const ImageParts& parts);

// Of the image that would be made now: one that is another is stale.
Result<ImageManifest> expected_manifest(const Root& root, const ImageParts& parts);
// Of an image. Errc::not_recognised where it is none of ours.
Result<ImageManifest> read_manifest(std::string_view image);

// Whether this can be the first process of a capture kernel, which has nothing beside it.
Result<> check_init(std::string_view program);

// The init that goes into an image: beside this program, as in a build tree, else in
// ../libexec/vmcore-guest.
std::string init_executable();

}  // namespace vmcore::guest
