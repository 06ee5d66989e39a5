// SPDX-License-Identifier: GPL-2.0-or-later
// What LVM2 writes on the disks of a volume group: a label, and the description of the group as
// text (lvm2: lib/format_text/layout.h, lib/label/label.h; lvm.conf's grammar). A capture kernel
// has no tools of LVM2, and what the disks say is true after every change of the group.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/result.h"

namespace vmcore::guest::save {

// A disk of a volume group.
struct LvmDisk {
  std::string id;        // 32 letters and digits
  std::string metadata;  // the text; empty if this disk has none
};

// Errc::not_recognised if the device is no such disk, Errc::malformed if it is a damaged one.
Result<LvmDisk> read_lvm_disk(int fd);

// Where a part of a volume is. All numbers are sectors of 512 bytes.
struct VolumeStripe {
  std::string disk;  // its id
  std::uint64_t begin;
};
struct VolumeSegment {
  std::uint64_t begin;
  std::uint64_t length;
  std::uint64_t chunk;  // of each stripe in turn; 0 with one stripe
  std::vector<VolumeStripe> stripes;
};
struct Volume {
  std::string name;  // "GROUP/VOLUME"
  std::vector<VolumeSegment> segments;
};

// Which change of the group wrote the text: the highest number is the newest. Errors as those of
// find_volume about the group.
Result<std::uint64_t> number_of_change(std::string_view metadata, std::string_view id);

// The volume with that id: 64 letters and digits, of the group and of the volume. Errc::not_found
// if this is another group, or the group has no such volume. Errc::unsupported if more than linear
// and striped mappings are needed to write to it (a snapshot, thin, RAID, cache).
Result<Volume> find_volume(std::string_view metadata, std::string_view id);

}  // namespace vmcore::guest::save
