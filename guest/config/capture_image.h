// What lies where in a capture image, beside the configuration (kConfigFile): `build` writes it,
// init reads it.
#pragma once

#include <string_view>

namespace vmcore::guest {

inline constexpr std::string_view kModuleFolder = "/modules";  // each packed by gzip()
inline constexpr std::string_view kModuleList = "order";       // in that folder: a file name a line
// What the image was made of: KEY=VALUE lines (guest/setup/capture_image.h).
inline constexpr std::string_view kImageManifest = "/etc/vmcore-guest.image";

}  // namespace vmcore::guest
