// SPDX-License-Identifier: GPL-2.0-or-later
// Where the folder of a target in a file system is on its disk, and where this guest sees it. A
// dump must be visible in this guest: the folder must be mounted here, and no other mount may hide
// it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "guest/config/capture_config.h"
#include "guest/root/root.h"
#include "guest/save/target.h"

namespace vmcore::guest::image {

struct MountPoint {
  std::string device;  // of the file system: "254:1"; empty if unknown
  std::string root;    // the mounted folder of the file system: "/", "/@rootfs"
  std::string at;
  std::string type;
  std::string source;
};

// Parses /proc/self/mountinfo.
std::vector<MountPoint> parse_mountinfo(std::string_view text);
// The mounts of the running system; for an image, those in its /etc/fstab.
std::vector<MountPoint> mounts_of(const root::Root& root);

struct DiskFolder {
  save::FilePlace place;  // the same folder, with its subvolume and without links
  std::optional<std::string>
      seen;  // its path in this guest; nothing if its file system is not mounted
};

// Errc::unsupported if the file system is mounted but this guest would not see the folder; the
// message names what hides it.
Result<DiskFolder> find_disk_folder(const root::Root& root, const std::vector<MountPoint>& mounts,
                                    const save::FilePlace& place);

// The place of a target on a disk as a capture image names it, whatever is mounted where: the
// folder with its subvolume, a logical volume by its id. Nothing if there is no other name than the
// configured one: other targets, one that is refused, a file system that is not mounted.
std::optional<std::string> lasting_place(const root::Root& root,
                                         const std::vector<MountPoint>& mounts,
                                         const config::Target& target);

// The target that saves into a folder of this guest: "file:UUID=12:/crash". Nothing if the file
// system of that folder has no UUID.
std::optional<config::Target> target_in(const root::Root& root, const std::string& folder);

// The configuration with the targets replaced by these places: a capture kernel mounts whole file
// systems.
config::CaptureConfig with_disk_folders(const root::Root& root, config::CaptureConfig config);

}  // namespace vmcore::guest::image
