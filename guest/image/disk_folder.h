// Where the folder of a "file" target lies on its disk, and where this guest sees it: what the
// capture kernel writes must not lie outside of what is mounted here, or below another mount.
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
  std::string device;  // of the file system: "254:1"; empty where it is not known
  std::string root;    // the folder of the file system that is mounted: "/", "/@rootfs"
  std::string at;
  std::string type;
  std::string source;
};

// Of /proc/self/mountinfo.
std::vector<MountPoint> parse_mountinfo(std::string_view text);
// What the running system has mounted; of an image, what its /etc/fstab would.
std::vector<MountPoint> mounts_of(const root::Root& root);

struct DiskFolder {
  save::FilePlace place;            // the same folder, by its subvolume and without links
  std::optional<std::string> seen;  // its path here; nothing where its file system is not mounted
};

// Errc::unsupported where this guest would not see the folder although its file system is mounted:
// it says what hides it.
Result<DiskFolder> find_disk_folder(const root::Root& root, const std::vector<MountPoint>& mounts,
                                    const save::FilePlace& place);

// The same place of a "file" target as it is configured; nothing of others, of one that is refused,
// and where its file system is not mounted.
std::optional<std::string> seen_place(const root::Root& root, const std::vector<MountPoint>& mounts,
                                      const config::Target& target);

// The configuration with these places, for the capture kernel, which sees whole file systems.
config::CaptureConfig with_disk_folders(const root::Root& root, config::CaptureConfig config);

}  // namespace vmcore::guest::image
