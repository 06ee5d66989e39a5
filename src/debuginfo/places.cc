// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/debuginfo/places.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

namespace vmcore::debuginfo {
namespace {

// The release stands for {}. Debian: boot/; Fedora, RHEL and kin: lib/modules/; SUSE: .debug behind
// it, usr/lib/ on systems whose /lib is a link; and where "make" leaves it.
constexpr std::array<std::string_view, 12> kVmlinux{
    "/usr/lib/debug/boot/vmlinux-{}",
    "/usr/lib/debug/lib/modules/{}/vmlinux",
    "/usr/lib/debug/usr/lib/modules/{}/vmlinux",
    "/usr/lib/debug/boot/vmlinux-{}.debug",
    "/usr/lib/debug/lib/modules/{}/vmlinux.debug",
    "/usr/lib/debug/usr/lib/modules/{}/vmlinux.debug",
    "/usr/lib/debug/vmlinux-{}",
    "/lib/modules/{}/build/vmlinux",
    "/lib/modules/{}/vmlinux",
    "/usr/lib/modules/{}/build/vmlinux",
    "/usr/lib/modules/{}/vmlinux",
    "/boot/vmlinux-{}",
};

constexpr std::array<std::string_view, 4> kModules{
    "/usr/lib/debug/lib/modules/{}",
    "/usr/lib/debug/usr/lib/modules/{}",
    "/lib/modules/{}",
    "/usr/lib/modules/{}",
};

std::string with_release(const std::string& root, std::string_view place,
                         std::string_view release) {
  return root + fmt::format(fmt::runtime(place), release);
}

}  // namespace

std::string build_id_path(std::string_view build_id) {
  const bool is_hex = std::ranges::all_of(build_id, [](char letter) {
    return (letter >= '0' && letter <= '9') || (letter >= 'a' && letter <= 'f');
  });
  return !is_hex || build_id.size() < 4
             ? ""
             : fmt::format(".build-id/{}/{}.debug", build_id.substr(0, 2), build_id.substr(2));
}

std::vector<std::string> vmlinux_places(const std::string& root, std::string_view release,
                                        std::string_view build_id) {
  std::vector<std::string> places;
  if (const std::string path = build_id_path(build_id); !path.empty()) {
    places.push_back(root + "/usr/lib/debug/" + path);
  }
  if (is_release(release)) {
    for (const std::string_view place : kVmlinux) {
      places.push_back(with_release(root, place, release));
    }
  }
  return places;
}

std::vector<std::string> module_folders(const std::string& root, std::string_view release) {
  std::vector<std::string> folders;
  if (is_release(release)) {
    for (const std::string_view place : kModules) {
      folders.push_back(with_release(root, place, release));
    }
  }
  return folders;
}

bool is_release(std::string_view release) {
  return !release.empty() && release.front() != '.' &&
         std::ranges::all_of(release, [](char letter) {
           return std::isalnum(static_cast<unsigned char>(letter)) != 0 ||
                  std::string_view("._+~-").find(letter) != std::string_view::npos;
         });
}

}  // namespace vmcore::debuginfo
