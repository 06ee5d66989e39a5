// SPDX-License-Identifier: GPL-2.0-or-later
// Block devices of the capture kernel, found by name or by the UUID or label in their superblocks.
// A capture kernel has no udev that makes links for these.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/result.h"

namespace vmcore::guest::save {

struct FileSystem {
  std::string type;  // as mount(2) takes it
  std::string uuid;  // as blkid prints it
  std::string label;
  bool operator==(const FileSystem&) const = default;
};

// Reads the superblock of a device or a file: ext2 to ext4 (all as "ext4"), xfs, btrfs or vfat.
// Errc::not_recognised for everything else.
Result<FileSystem> probe_file_system(int fd);

// In a capture image, LVM=ID names a logical volume of LVM by the ids of its group and of itself,
// 64 letters and digits: the kernel shows it as LVM-ID (dm/uuid in /sys).
inline constexpr std::string_view kVolumePrefix = "LVM=";

// Errc::invalid unless it is "/dev/NAME", "UUID=...", "LABEL=..." or "LVM=...".
Result<> check_device_name(std::string_view device);

// The path of the device. Waits up to `wait` until it appears; then Errc::not_found. Makes no
// volume (logical_volume.h: ready_device).
Result<std::string> find_device(std::string_view device, std::chrono::seconds wait);
std::vector<std::string> all_block_devices();

}  // namespace vmcore::guest::save
