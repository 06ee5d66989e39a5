// SPDX-License-Identifier: GPL-2.0-or-later
// The layout of a capture image, apart from the configuration (kConfigFile). `build` writes it,
// init reads it.
#pragma once

#include <string_view>

namespace vmcore::guest::config {

inline constexpr std::string_view kModuleFolder = "/modules";  // each file compressed by gzip()
inline constexpr std::string_view kModuleList = "order";  // in that folder: one file name a line
// The folders of libraries in the image, as LD_LIBRARY_PATH. They are the same as in the guest. The
// variable is needed because the interpreter may find its folders only through links (Arch: /lib64)
// or a cache.
inline constexpr std::string_view kLibraryPath =
    "/lib/x86_64-linux-gnu:/usr/lib/x86_64-linux-gnu:/lib64:/usr/lib64:/lib:/usr/lib";
// What the image was built from: KEY=VALUE lines (guest/image/capture_image.h).
inline constexpr std::string_view kImageManifest = "/etc/vmcore-guest.image";

}  // namespace vmcore::guest::config
