// SPDX-License-Identifier: GPL-2.0-or-later
// Logical volumes of LVM, by ids that no change of the volume group changes. A capture kernel makes
// them itself, by the device mapper, from what the disks say (lvm_metadata.h). Only linear and
// striped volumes on disks and partitions, without snapshots.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "guest/save/lvm_metadata.h"
#include "src/base/result.h"

namespace vmcore::guest::save {

// Where a volume is: the stripes name paths of devices instead of ids. Errc::not_found names what
// is missing; the other errors are those of find_volume.
Result<Volume> locate_volume(std::string_view id);

// The path of a device that check_device_name accepts; makes a volume if it is not there. Waits up
// to `wait` for the device or for all disks of the volume.
Result<std::string> ready_device(const std::string& device, std::chrono::seconds wait);

// The lines that dmsetup(8) takes: "BEGIN LENGTH linear DEVICE BEGIN". `device_number` returns
// "MAJOR:MINOR" for a path.
struct MapperTarget {
  std::uint64_t begin;
  std::uint64_t length;
  std::string type;
  std::string arguments;
  bool operator==(const MapperTarget&) const = default;
};
std::vector<MapperTarget> mapper_table(const Volume& volume,
                                       std::string (*device_number)(const std::string& path));

}  // namespace vmcore::guest::save
