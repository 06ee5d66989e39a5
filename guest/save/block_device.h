// Block devices of the capture kernel: found by name, UUID or label, by their superblocks; there is
// no udev that would have made links of those.
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

// What the superblock of a descriptor's device or file tells: ext2 to ext4 ("ext4" all), xfs, btrfs
// or vfat; Errc::not_recognised for everything else.
Result<FileSystem> probe_file_system(int fd);

// Whether it is "/dev/NAME", "UUID=..." or "LABEL=...".
Result<> check_device_name(std::string_view device);

// The path of such a device: waits until the device is there.
Result<std::string> find_device(std::string_view device, std::chrono::seconds wait);
std::vector<std::string> all_block_devices();

}  // namespace vmcore::guest::save
