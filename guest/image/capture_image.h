// The capture image: the first file system of a capture kernel, a cpio archive with init, its
// configuration, and the modules it needs of one kernel. The same of all these make the same bytes.
// The file kImageManifest in it tells what it was made of, as lines of KEY=VALUE: RELEASE of the
// kernel; SHA-256 of INIT, of CONFIG and of MODULES (their paths and the files as installed), and
// SUM, that of the whole image with zeros in place of SUM. Archives that others append to it, which
// the kernel unpacks over it, are not in there.
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
#include "guest/root/root.h"
#include "src/base/result.h"

namespace vmcore::guest::image {

struct ImageParts {
  std::string release;
  std::string init;  // the program
  config::CaptureConfig config;
};

struct CaptureImage {
  std::string bytes;
  std::vector<std::string> modules;  // paths in the root, in the order in which they are loaded
  std::vector<Remark> remarks;
};

// Taken for the size of an image that is not built yet: more than any was seen to have that needs
// modules only (4 MiB), and what its targets need beside them.
std::uint64_t assumed_image_size(const root::Root& root);

Result<CaptureImage> make_capture_image(const root::Root& root, const ImageParts& parts);

// Whether these begin with all of the bytes that `build` made for a kernel of that release.
// Errc::malformed where some changed or are gone, Errc::invalid where it is another kernel's,
// Errc::not_recognised where it is none of ours.
Result<> check_image(std::string_view bytes, std::string_view release);

// Whether this can be the first process of a capture kernel, which has nothing beside it.
Result<> check_init(std::string_view program);

// The init that goes into an image: beside this program, as in a build tree, else in
// ../libexec/vmcore-guest.
std::string init_executable();

}  // namespace vmcore::guest::image
