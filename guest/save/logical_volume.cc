// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/save/logical_volume.h"

#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "guest/save/block_device.h"
#include "guest/save/wait_until.h"
#include "src/base/fd.h"

namespace vmcore::guest::save {
namespace {

constexpr const char* kControl = "/dev/mapper/control";  // devtmpfs makes it

struct FoundDisk {
  std::string path;
  LvmDisk disk;
};

std::vector<FoundDisk> all_lvm_disks() {
  std::vector<FoundDisk> found;
  for (std::string& path : all_block_devices()) {
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    auto disk = fd ? read_lvm_disk(fd.get()) : fail(Errc::not_found, "gone");
    if (disk) {
      found.push_back({std::move(path), *std::move(disk)});
    }
  }
  return found;
}

// By the newest metadata of the group: a disk that was away for a while has old ones.
Result<Volume> newest_volume(const std::vector<FoundDisk>& disks, std::string_view id) {
  const std::string* newest = nullptr;
  std::uint64_t number = 0;
  for (const FoundDisk& found : disks) {
    const auto change = number_of_change(found.disk.metadata, id);
    if (change && (newest == nullptr || *change > number)) {
      newest = &found.disk.metadata;
      number = *change;
    }
  }
  return newest == nullptr ? fail(Errc::not_found, "no disk of its LVM volume group is there")
                           : find_volume(*newest, id);
}

// `stat` of a file in /dev.
std::string number_of(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0
             ? fmt::format("{}:{}", ::major(status.st_rdev), ::minor(status.st_rdev))
             : "0:0";
}

// One call of the device mapper about the device `name`.
class MapperCall {
 public:
  explicit MapperCall(const std::string& name, std::size_t data = 0)
      : bytes_(sizeof(dm_ioctl) + data) {
    dm_ioctl& head = header();
    head.version[0] = 4;
    head.data_size = static_cast<std::uint32_t>(bytes_.size());
    head.data_start = sizeof(dm_ioctl);
    name.copy(head.name, sizeof(head.name) - 1);
  }
  dm_ioctl& header() { return *reinterpret_cast<dm_ioctl*>(bytes_.data()); }
  char* data() { return bytes_.data() + sizeof(dm_ioctl); }
  bool run(int control, unsigned long command) {
    return ::ioctl(control, command, bytes_.data()) == 0;
  }

 private:
  std::vector<char> bytes_;
};

// A target, its arguments, and their end, at a multiple of 8 bytes.
std::size_t size_of(const MapperTarget& target) {
  return (sizeof(dm_target_spec) + target.arguments.size() + 8) / 8 * 8;
}

MapperCall load_call(const std::string& name, const std::vector<MapperTarget>& table) {
  std::size_t size = 0;
  for (const MapperTarget& target : table) {
    size += size_of(target);
  }
  MapperCall call(name, size);
  call.header().target_count = static_cast<std::uint32_t>(table.size());
  char* at = call.data();
  for (const MapperTarget& target : table) {
    dm_target_spec spec{};
    spec.sector_start = target.begin;
    spec.length = target.length;
    spec.next = static_cast<std::uint32_t>(size_of(target));
    target.type.copy(spec.target_type, sizeof(spec.target_type) - 1);
    std::memcpy(at, &spec, sizeof(spec));
    target.arguments.copy(at + sizeof(spec), target.arguments.size());
    at += spec.next;
  }
  return call;
}

// Makes the device, gives it its table, and starts it.
Result<std::string> make_mapped(const std::string& uuid, const std::vector<MapperTarget>& table) {
  const Fd control(::open(kControl, O_RDWR | O_CLOEXEC));
  if (!control) {
    return fail_errno(errno, kControl);
  }
  MapperCall create(uuid);
  uuid.copy(create.header().uuid, sizeof(create.header().uuid) - 1);
  if (!create.run(control.get(), DM_DEV_CREATE)) {
    return fail_errno(errno, "device mapper: create");
  }
  MapperCall start(uuid);
  if (!load_call(uuid, table).run(control.get(), DM_TABLE_LOAD) ||
      !start.run(control.get(), DM_DEV_SUSPEND)) {
    const int why = errno;
    MapperCall(uuid).run(control.get(), DM_DEV_REMOVE);
    return fail_errno(why, "device mapper: load");
  }
  // As the kernel packs a device number for user space (huge_encode_dev).
  const std::uint64_t device = start.header().dev;
  return fmt::format("/dev/dm-{}", (device & 0xff) | (device >> 12 & 0xfff00));
}

}  // namespace

Result<Volume> locate_volume(std::string_view id) {
  const std::vector<FoundDisk> disks = all_lvm_disks();
  TRY_ASSIGN(Volume volume, newest_volume(disks, id));
  for (VolumeSegment& segment : volume.segments) {
    for (VolumeStripe& stripe : segment.stripes) {
      const auto found = std::ranges::find_if(
          disks, [&](const FoundDisk& disk) { return disk.disk.id == stripe.disk; });
      if (found == disks.end()) {
        return fail(Errc::not_found, "LVM volume {}: its disk with the UUID {} is not there",
                    volume.name, stripe.disk);
      }
      stripe.disk = found->path;
    }
  }
  return volume;
}

std::vector<MapperTarget> mapper_table(const Volume& volume,
                                       std::string (*device_number)(const std::string& path)) {
  std::vector<MapperTarget> table;
  for (const VolumeSegment& segment : volume.segments) {
    const bool striped = segment.stripes.size() > 1;
    std::string arguments =
        striped ? fmt::format("{} {} ", segment.stripes.size(), segment.chunk) : "";
    for (const VolumeStripe& stripe : segment.stripes) {
      arguments += fmt::format("{} {} ", device_number(stripe.disk), stripe.begin);
    }
    arguments.pop_back();
    table.push_back({segment.begin, segment.length, striped ? "striped" : "linear", arguments});
  }
  return table;
}

Result<std::string> ready_device(const std::string& device, std::chrono::seconds wait) {
  if (!device.starts_with(kVolumePrefix)) {
    return find_device(device, wait);
  }
  if (auto there = find_device(device, std::chrono::seconds(0))) {
    return there;
  }
  const std::string id = device.substr(kVolumePrefix.size());
  Result<Volume> volume = fail(Errc::not_found, "");
  wait_until(
      [&] {
        volume = locate_volume(id);
        return volume || volume.error().code != Errc::not_found;
      },
      wait);
  TRY(volume);
  return make_mapped("LVM-" + id, mapper_table(*volume, number_of));
}

}  // namespace vmcore::guest::save
