// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/image/target_disks.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "guest/root/read_word.h"
#include "guest/save/block_device.h"
#include "guest/save/logical_volume.h"
#include "guest/save/target_kinds.h"

namespace vmcore::guest::image {
namespace {

constexpr std::string_view kInstead =
    "use a plain disk or partition, or send the dump to the host (target = port)";

// The folder of a block device in /sys: by its number, because without udev its name may be
// another.
std::string sysfs_folder(const root::Root& root, const std::string& device) {
  struct stat status {};
  if (root.running() && ::stat(device.c_str(), &status) == 0 && S_ISBLK(status.st_mode)) {
    return fmt::format("/sys/dev/block/{}:{}", ::major(status.st_rdev), ::minor(status.st_rdev));
  }
  return "/sys/class/block/" + device.substr(device.rfind('/') + 1);
}

std::string mapper_uuid(const root::Root& root, const std::string& device) {
  return root::read_word(root, {sysfs_folder(root, device) + "/dm/uuid"}).value_or("");
}

// What a device of the device mapper is, in words.
std::string kind_of(std::string_view uuid) {
  return uuid.starts_with("CRYPT-")   ? "on LUKS"
         : uuid.starts_with("mpath-") ? "on multipath"
         : uuid.starts_with("LVM-")   ? "an internal volume of LVM"
                                      : "on LVM, LUKS or another device mapper";
}

bool is_mapped(const root::Root& root, const std::string& device) {
  return device.starts_with("/dev/mapper/") || device.starts_with("/dev/dm-") ||
         root.exists(sysfs_folder(root, device) + "/dm");
}

bool is_raid(const root::Root& root, const std::string& device) {
  return device.starts_with("/dev/md") || root.exists(sysfs_folder(root, device) + "/md");
}

tl::unexpected<Error> not_set_up(std::string_view device, std::string_view what) {
  return fail(Errc::unsupported, "{} is {}, which the capture kernel does not set up: {}", device,
              what, kInstead);
}

std::vector<std::string> stripes_of(const save::Volume& volume) {
  std::set<std::string> paths;
  for (const save::VolumeSegment& segment : volume.segments) {
    for (const save::VolumeStripe& stripe : segment.stripes) {
      paths.insert(stripe.disk);
    }
  }
  return {paths.begin(), paths.end()};
}

// The kernel knows what is really below the volume: not a half of a RAID that looks like a disk.
Result<> check_below(const root::Root& root, const std::string& device,
                     const std::vector<std::string>& disks) {
  auto below =
      root.list(sysfs_folder(root, device) + "/slaves").value_or(std::vector<std::string>());
  for (std::string& name : below) {
    name.insert(0, "/dev/");
    if (is_mapped(root, name) || is_raid(root, name)) {
      return not_set_up(
          device, fmt::format("an LVM volume on {}, {}", name,
                              is_raid(root, name) ? "a RAID" : kind_of(mapper_uuid(root, name))));
    }
  }
  std::ranges::sort(below);
  return below == disks
             ? Result<>()
             : not_set_up(device, fmt::format("on {} for the kernel, and on {} for LVM",
                                              fmt::join(below, " "), fmt::join(disks, " ")));
}

Result<std::vector<std::string>> volume_disks(const root::Root& root, const std::string& device,
                                              const std::string& id) {
  const auto volume = save::locate_volume(id);
  if (!volume) {
    return fail(Errc::unsupported,
                "{}: {}; the capture kernel sets up only linear and striped volumes without "
                "snapshots: {}",
                device, volume.error().message, kInstead);
  }
  std::vector<std::string> disks = stripes_of(*volume);
  TRY(check_below(root, device, disks));
  return disks;
}

}  // namespace

std::string device_path(const root::Root& root, const config::Target& target) {
  const std::string device = save::device_of(target);
  if (!root.running()) {
    return device;
  }
  const std::string path = save::find_device(device, std::chrono::seconds(0)).value_or(device);
  std::error_code error;
  const auto resolved = std::filesystem::canonical(path, error);
  return error ? path : resolved.string();
}

std::optional<std::string> volume_id(const root::Root& root, const std::string& device) {
  constexpr std::string_view kPrefix = "LVM-";
  const std::string uuid = root.running() ? mapper_uuid(root, device) : "";
  // Internal volumes have a suffix: LVM-ID-real.
  return uuid.starts_with(kPrefix) && uuid.size() == kPrefix.size() + 64
             ? std::optional(uuid.substr(kPrefix.size()))
             : std::nullopt;
}

Result<std::vector<std::string>> target_disks(const root::Root& root,
                                              const config::Target& target) {
  const std::string device = device_path(root, target);
  if (const auto id = volume_id(root, device)) {
    return volume_disks(root, device, *id);
  }
  if (is_mapped(root, device)) {
    return not_set_up(device, kind_of(mapper_uuid(root, device)));
  }
  if (is_raid(root, device)) {
    return not_set_up(device, "a RAID");
  }
  if (target.where.starts_with("/dev/disk/")) {
    return fail(Errc::unsupported,
                "{} is a link of udev, which the capture kernel does not have: name the device by "
                "UUID=, LABEL= or /dev/NAME",
                save::device_of(target));
  }
  return std::vector{device};
}

}  // namespace vmcore::guest::image
