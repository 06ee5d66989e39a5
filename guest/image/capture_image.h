// SPDX-License-Identifier: GPL-2.0-or-later
// The capture image: the initramfs of a capture kernel. It is a cpio archive with init, its
// configuration, and the modules of one kernel that it needs. Equal parts give an equal image. The
// file kImageManifest in it lists the parts, as lines of KEY=VALUE: RELEASE of the kernel; the
// SHA-256 of INIT, of CONFIG, of MODULES (their paths and the installed files) and of FILES; and
// SUM, the SHA-256 of the whole image with zeros in place of SUM. Archives that others append,
// which the kernel unpacks over it, are not covered.
//
// The archive is not compressed as a whole, because unpacking needs most of the memory of a capture
// kernel. Its modules are compressed, each by itself: init unpacks one at a time. Their bytes and
// signatures are those of the distribution.
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
  std::string init;  // the content of the program
  config::CaptureConfig config;
};

struct CaptureImage {
  std::string bytes;
  std::vector<std::string> modules;  // paths in the root, in load order
  std::vector<Remark> remarks;
};

// The assumed size of an image that is not built yet: 4 MiB, more than every measured image that
// has only modules, plus the files that its targets need.
std::uint64_t assumed_image_size(const root::Root& root);

Result<CaptureImage> make_capture_image(const root::Root& root, const ImageParts& parts);

// Whether `bytes` begin with an undamaged image that `build` made for a kernel of that release.
// Errc::malformed if it is damaged or truncated, Errc::invalid if it was built for another kernel,
// Errc::not_recognised if `build` did not make it.
Result<> check_image(std::string_view bytes, std::string_view release);

// The SHA-256 that the image has of itself. Empty if `build` did not make it.
std::string image_sum(std::string_view bytes);

// Whether the program can be the first process of a capture kernel: an ELF program that needs no
// libraries.
Result<> check_init(std::string_view program);

// The path of the init for images: beside this program, as in a build tree, otherwise in
// ../libexec/vmcore-guest.
std::string init_executable();

}  // namespace vmcore::guest::image
