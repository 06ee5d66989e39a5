// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/image/stale_image.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <vector>

#include "guest/config/capture_config.h"
#include "guest/image/capture_image.h"
#include "guest/image/cpio.h"
#include "guest/image/disk_folder.h"
#include "guest/image/find_network.h"
#include "guest/image/program_files.h"
#include "guest/root/read_config.h"
#include "guest/root/state_file.h"

namespace vmcore::guest::image {
namespace {

// The time of its last change (ctime): packages and archives set old times of modification.
std::optional<std::pair<time_t, long>> changed(const root::Root& root, std::string_view path) {
  const auto fd = root.open(path, O_PATH);
  struct stat status {};
  return fd && ::fstat(fd->get(), &status) == 0
             ? std::optional(std::pair(status.st_ctim.tv_sec, status.st_ctim.tv_nsec))
             : std::nullopt;
}

// The files that `build` reads and whose time shows a change.
std::vector<std::string> sources_of_image(const root::Root& root, std::string_view release) {
  std::vector<std::string> sources;
  const config::CaptureConfig config = root::read_config(root).value_or(config::CaptureConfig());
  if (config::has_target(config, "ssh")) {
    sources = program_files(root, config.ssh.client).value_or(std::vector{config.ssh.client});
    sources.insert(sources.end(), {config.ssh.key, config.ssh.known_hosts});
  }
  std::error_code error;
  sources.insert(sources.end(), {std::filesystem::read_symlink("/proc/self/exe", error).string(),
                                 std::string(config::kConfigFile),
                                 fmt::format("/lib/modules/{}/modules.dep", release)});
  return sources;
}

// Whether the network settings of this machine differ from those in the image.
bool network_changed(const root::Root& root, std::string_view bytes) {
  const auto now = root::read_config(root).map(
      [&root](const config::CaptureConfig& config) { return network_now(root, config).network; });
  if (!now || !*now) {
    return false;
  }
  const auto config = find_in_cpio(bytes, config::kConfigFile.substr(1));
  return !config ||
         config::parse_config(*config).value_or(config::CaptureConfig()).network != **now;
}

// Whether the folder of a target is now elsewhere on its disk: its subvolume was replaced, or
// another file system is mounted.
bool folder_changed(const root::Root& root, std::string_view bytes) {
  const auto config = find_in_cpio(bytes, config::kConfigFile.substr(1));
  const auto then =
      config ? config::parse_config(*config) : fail(Errc::not_found, "no configuration");
  const auto now = root::read_config(root);
  if (!then || !now || then->targets.size() != now->targets.size()) {
    return false;  // the time of the configuration shows that
  }
  const std::vector<MountPoint> mounts = mounts_of(root);
  for (std::size_t i = 0; i < now->targets.size(); ++i) {
    const auto where = lasting_place(root, mounts, now->targets[i]);
    if (where && *where != then->targets[i].where) {
      return true;
    }
  }
  return false;
}

}  // namespace

std::string capture_image_path(std::string_view release) {
  return fmt::format("{}/capture-{}.img", root::kStateFolder, release);
}

Result<std::string> read_image(const root::Root& root, std::string_view path) {
  constexpr std::size_t kMostImage = 64U << 20;
  return root.read(path, kMostImage);
}

bool is_stale(const root::Root& root, std::string_view image, std::string_view release) {
  const auto built = changed(root, image);
  if (!built || std::ranges::any_of(sources_of_image(root, release), [&](const auto& source) {
        return changed(root, source) > built;
      })) {
    return true;
  }
  const std::string bytes = read_image(root, image).value_or("");
  return network_changed(root, bytes) || folder_changed(root, bytes) ||
         !check_image(bytes, release);
}

}  // namespace vmcore::guest::image
