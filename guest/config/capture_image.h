// What lies where in a capture image, beside the configuration (kConfigFile): `build` writes it,
// init reads it.
#pragma once

#include <string_view>

namespace vmcore::guest::config {

inline constexpr std::string_view kModuleFolder = "/modules";  // each packed by gzip()
inline constexpr std::string_view kModuleList = "order";       // in that folder: a file name a line
// Where the image has its programs' libraries, as LD_LIBRARY_PATH: as in the system that they are
// of, whose interpreter may know of their folders only by links (Arch: /lib64) or a cache.
inline constexpr std::string_view kLibraryPath =
    "/lib/x86_64-linux-gnu:/usr/lib/x86_64-linux-gnu:/lib64:/usr/lib64:/lib:/usr/lib";
// What the image was made of: KEY=VALUE lines (guest/image/capture_image.h).
inline constexpr std::string_view kImageManifest = "/etc/vmcore-guest.image";

}  // namespace vmcore::guest::config
