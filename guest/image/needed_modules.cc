// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/image/needed_modules.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <span>
#include <sstream>

#include "guest/image/disk_folder.h"
#include "guest/image/driver_modules.h"
#include "guest/image/find_network.h"
#include "guest/image/ssh_files.h"
#include "guest/image/target_disks.h"
#include "guest/save/block_device.h"
#include "guest/save/target_kinds.h"

namespace vmcore::guest::image {
namespace {

using save::Drivers;

// virtio_mem is loaded before memory is read: it tells the kernel which memory is not plugged in
// (drivers/virtio/virtio_mem.c, virtio_mem_vmcore_pfn_is_ram, v5.16).
const Drivers kMachine = {"virtio", {"virtio_pci", "virtio_mmio"}, {"virtio_mem"}};

// The drivers for device names that imply them. The SCSI drivers are ten times as large as
// virtio_blk.
const std::array<std::pair<std::string_view, Drivers>, 3> kDisksByName = {{
    {"/dev/vd", {"virtio disks", {"virtio_blk"}}},
    {"/dev/nvme", {"NVMe disks", {"nvme"}}},
    {"/dev/mmcblk", {"MMC and SD cards", {"mmc_block"}, {"sdhci_pci", "sdhci_acpi"}}},
}};

// The file systems request checksums and character sets by name at run time, so no dependency shows
// them. libcrc32c (lib/libcrc32c.c, until v6.14), which xfs and btrfs need, cannot be loaded
// without its checksum.
const std::array<Drivers, 4> kFileSystems = {{
    {"ext4", {"ext4"}, {"crc32c_generic"}},
    {"xfs", {"xfs"}, {"crc32c_generic"}},
    {"btrfs", {"btrfs"}, {"crc32c_generic", "xxhash_generic", "sha256_generic", "blake2b_generic"}},
    {"vfat", {"vfat"}, {"nls_cp437", "nls_ascii", "nls_iso8859_1", "nls_utf8"}},
}};

// The type of the file system of a device in /etc/fstab.
std::string type_in_fstab(const root::Root& root, std::string_view device) {
  std::istringstream lines(root.read("/etc/fstab").value_or(""));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string source;
    std::string folder;
    std::string type;
    if (words >> source >> folder >> type && source == device) {
      return type == "ext2" || type == "ext3" ? "ext4" : type;
    }
  }
  return "";
}

// The type according to the superblock, on the machine that has the device.
std::string type_of_device(const root::Root& root, const std::string& device) {
  const Fd fd(root.running() ? ::open(device.c_str(), O_RDONLY | O_CLOEXEC) : -1);
  const auto system = fd ? save::probe_file_system(fd.get()) : fail(Errc::not_found, "no device");
  return system ? system->type : "";
}

// The rows for a target in a file system; all rows if its type is unknown.
std::span<const Drivers> file_systems_of(const root::Root& root, const config::Target& target,
                                         const std::string& device) {
  std::string type = type_of_device(root, device);
  if (type.empty()) {
    type = type_in_fstab(root, save::device_of(target));
  }
  const auto* const found = std::ranges::find(kFileSystems, type, &Drivers::what);
  return found == kFileSystems.end() ? std::span(kFileSystems) : std::span(found, 1);
}

Result<> check_folder(const root::Root& root, const config::Target& target) {
  TRY_ASSIGN(const save::FilePlace place, save::parse_file_place(target.where));
  if (place.device.empty()) {
    return fail(Errc::unsupported,
                "the capture kernel mounts nothing at {}: name the device of its file system "
                "(file:DEVICE:/FOLDER)",
                place.folder);
  }
  TRY(target_disks(root, target));
  TRY(find_disk_folder(root, mounts_of(root), place));
  return {};
}

// A device that is not there now is not checked for what it holds.
Result<> check_device(const root::Root& root, const config::Target& target) {
  TRY(target_disks(root, target));
  const std::string& device = target.where;
  const Fd fd(root.running() ? ::open(device.c_str(), O_RDONLY | O_CLOEXEC) : -1);
  const auto may = fd ? save::check_is_free(fd.get()) : Result<>();
  return may ? may : in_context(may.error(), device);
}

class Collector {
 public:
  explicit Collector(const KernelModules& kernel) : kernel_(kernel) {}

  // Whether the kernel has one of them.
  bool add(const Drivers& drivers) {
    for (const auto* names : {&drivers.also, &drivers.any}) {
      names_.insert(names_.end(), names->begin(), names->end());
    }
    return std::ranges::any_of(drivers.any, [&](auto name) { return kernel_.is_there(name); });
  }
  // Whether there are any.
  bool add(const std::vector<std::string>& modules) {
    names_.insert(names_.end(), modules.begin(), modules.end());
    return !modules.empty();
  }
  std::vector<std::string> names() && { return std::move(names_); }

 private:
  const KernelModules& kernel_;
  std::vector<std::string> names_;
};

tl::unexpected<Error> no_driver(std::string_view what) {
  return fail(Errc::unsupported, "this kernel has no driver for {}", what);
}

// The drivers that this machine uses for the disk, otherwise those that its name implies.
Result<> add_disk(Collector& collector, const root::Root& root, const std::string& device,
                  const Drivers& any) {
  const std::string name = device.substr(device.rfind('/') + 1);
  if (device.starts_with("/dev/mmcblk")) {
    // The bus of MMC registers its drivers without their modules (v6.1, mmc_register_driver).
    collector.add(std::vector<std::string>{"mmc_block"});
  }
  if (collector.add(driver_modules(root, "/sys/class/block/" + name))) {
    return {};
  }
  const auto* const named = std::ranges::find_if(
      kDisksByName, [&](const auto& row) { return device.starts_with(row.first); });
  const Drivers& drivers = named == kDisksByName.end() ? any : named->second;
  return collector.add(drivers) ? Result<>() : no_driver(drivers.what);
}

Result<> add_file_system(Collector& collector, const root::Root& root, const config::Target& target,
                         const std::string& device) {
  bool any = false;
  for (const Drivers& system : file_systems_of(root, target, device)) {
    any = collector.add(system) || any;
  }
  return any ? Result<>() : no_driver("the file system");
}

Result<> add_target(Collector& collector, const root::Root& root,
                    const config::CaptureConfig& config, const config::Target& target) {
  TRY(check_target(root, config, target));
  TRY_ASSIGN(const save::TargetKind* const kind, save::find_target(target.kind));
  if (const auto address = save::network_address_of(target);
      address && address->family == AF_INET6) {
    collector.add(std::vector<std::string>{"ipv6"});  // where it is a module
  }
  const Drivers& drivers = kind->drivers;
  if (kind->place == save::Place::host || kind->place == save::Place::network) {
    return collector.add(drivers) ? Result<>() : no_driver(drivers.what);
  }
  const std::string device = device_path(root, target);
  if (volume_id(root, device)) {
    collector.add(std::vector<std::string>{"dm_mod"});
  }
  TRY_ASSIGN(const std::vector<std::string> disks, target_disks(root, target));
  for (const std::string& disk : disks) {
    TRY(add_disk(collector, root, disk, drivers));
  }
  return kind->place == save::Place::folder ? add_file_system(collector, root, target, device)
                                            : Result<>();
}

// A watchdog that the crashed kernel started would reset the machine during the dump. Its driver
// stops it when the driver is loaded (drivers/watchdog, v6.1: i6300esb.c, esb_initdevice;
// iTCO_wdt.c, iTCO_wdt_probe).
void add_watchdogs(Collector& collector, const root::Root& root) {
  const std::string folder = "/sys/class/watchdog";
  for (const std::string& name : root.list(folder).value_or(std::vector<std::string>())) {
    collector.add(driver_modules(root, folder + "/" + name));
  }
}

}  // namespace

Result<> check_target(const root::Root& root, const config::CaptureConfig& config,
                      const config::Target& target) {
  TRY_ASSIGN(const save::TargetKind* const kind, save::find_target(target.kind));
  TRY(kind->check(target.where));
  if (target.kind == "ssh") {
    TRY_ASSIGN(const config::SshDestination to, config::parse_ssh_destination(target.where));
    TRY(check_ssh(root, config.ssh, to.endpoint));
  }
  switch (kind->place) {
    case save::Place::host:
    case save::Place::network:
      return {};
    case save::Place::folder:
      return check_folder(root, target);
    case save::Place::device:
      return check_device(root, target);
    case save::Place::file:
      break;
  }
  return fail(Errc::invalid, "target {} is only for `vmcore-guest save`: use one of {}",
              target.kind, fmt::join(save::target_forms(), ", "));
}

Result<NeededModules> needed_modules(const root::Root& root, const KernelModules& kernel,
                                     const config::CaptureConfig& config) {
  NeededModules needed;
  Collector collector(kernel);
  if (!collector.add(kMachine)) {
    return fail(Errc::unsupported, "this kernel has no virtio driver");
  }
  add_watchdogs(collector, root);
  for (const config::Target& target : config.targets) {
    if (const Result<> added = add_target(collector, root, config, target); !added) {
      needed.remarks.push_back(
          {added.error().code, fmt::format("target {}: {}", target.kind, added.error().message)});
    }
  }
  if (needed.remarks.size() == config.targets.size()) {
    return fail(Errc::unsupported, "{}; no usable target is left", needed.remarks.front().text);
  }
  if (config.network) {
    if (const auto drivers = network_drivers(root, config.network->interface)) {
      collector.add(*drivers);
    } else if (root.running()) {
      needed.remarks.push_back({drivers.error().code, "network: " + drivers.error().message});
    }
  }
  needed.names = std::move(collector).names();
  return needed;
}

}  // namespace vmcore::guest::image
