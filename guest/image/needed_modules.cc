#include "guest/image/needed_modules.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <span>
#include <sstream>

#include "guest/image/disk_folder.h"
#include "guest/image/driver_modules.h"
#include "guest/image/find_network.h"
#include "guest/image/ssh_files.h"
#include "guest/save/block_device.h"
#include "guest/save/target.h"

namespace vmcore::guest::image {
namespace {

using Names = std::vector<std::string_view>;

// One row a thing that a target may need: at least one of `any`, and of `also` what there is, which
// is loaded first.
struct Need {
  std::string_view what;
  Names any;
  Names also;
};

// virtio_mem before anything is read: it tells the kernel which memory is not plugged in
// (drivers/virtio/virtio_mem.c, virtio_mem_vmcore_pfn_is_ram, v5.16).
const Need kMachine = {"virtio", {"virtio_pci", "virtio_mmio"}, {"virtio_mem"}};

struct TargetNeed {
  std::string_view kind;
  Need need;
};
const std::array<TargetNeed, 6> kTargets = {{
    {"port", {"virtio-serial ports", {"virtio_console"}, {}}},
    {"vsock", {"vsock", {"vmw_vsock_virtio_transport"}, {}}},
    {"ssh", {"virtio network cards", {"virtio_net"}, {}}},
    {"tcp", {"virtio network cards", {"virtio_net"}, {}}},
    {"file", {"virtio disks", {"virtio_blk", "virtio_scsi"}, {"sd_mod"}}},
    {"raw", {"virtio disks", {"virtio_blk", "virtio_scsi"}, {"sd_mod"}}},
}};
// Where the device's name tells which it is; SCSI is ten times as large as virtio_blk.
const std::array<std::pair<std::string_view, Need>, 2> kDisksByName = {{
    {"/dev/vd", {"virtio disks", {"virtio_blk"}, {}}},
    {"/dev/nvme", {"NVMe disks", {"nvme"}, {}}},
}};

// The checksums and character sets are asked for by name at run time: no dependency shows them.
// libcrc32c (lib/libcrc32c.c, until v6.14), which xfs and btrfs need, cannot be loaded without its.
const std::array<Need, 4> kFileSystems = {{
    {"ext4", {"ext4"}, {"crc32c_generic"}},
    {"xfs", {"xfs"}, {"crc32c_generic"}},
    {"btrfs", {"btrfs"}, {"crc32c_generic", "xxhash_generic", "sha256_generic", "blake2b_generic"}},
    {"vfat", {"vfat"}, {"nls_cp437", "nls_ascii", "nls_iso8859_1", "nls_utf8"}},
}};

// What /etc/fstab calls the file system of a device.
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

// "UUID=12", "/dev/vdb" of a target's "UUID=12:/var/crash", "/dev/vdb".
std::string named_device(const config::Target& target) {
  return target.kind == "file"
             ? save::parse_file_place(target.where).value_or(save::FilePlace()).device
             : target.where;
}

// Where this is the machine that has it, its path without links.
std::string device_of(const root::Root& root, const config::Target& target) {
  const std::string device = named_device(target);
  if (!root.running()) {
    return device;
  }
  const std::string path = save::find_device(device, std::chrono::seconds(0)).value_or(device);
  std::error_code error;
  const auto resolved = std::filesystem::canonical(path, error);
  return error ? path : resolved.string();
}

bool is_on_disk(const config::Target& target) {
  return target.kind == "file" || target.kind == "raw";
}

Result<> check_is_plain(const root::Root& root, const config::Target& target) {
  const std::string device = device_of(root, target);
  const std::string sysfs = "/sys/class/block/" + device.substr(device.rfind('/') + 1);
  const bool mapped = device.starts_with("/dev/mapper/") || device.starts_with("/dev/dm-") ||
                      root.exists(sysfs + "/dm");
  const bool raid = device.starts_with("/dev/md") || root.exists(sysfs + "/md");
  if (mapped || raid) {
    return fail(Errc::unsupported,
                "{} is {}, which the capture kernel does not set up: give it a disk or a partition "
                "of its own, or send to the host (target = port)",
                device, mapped ? "on LVM, LUKS or another device mapper" : "a RAID");
  }
  if (target.where.starts_with("/dev/disk/")) {
    return fail(Errc::unsupported,
                "the capture kernel has no udev that makes {}: name it by UUID=, LABEL= or its own "
                "name",
                named_device(target));
  }
  return {};
}

// What the device itself says, where this is the machine that has it.
std::string type_of_device(const root::Root& root, const std::string& device) {
  const Fd fd(root.running() ? ::open(device.c_str(), O_RDONLY | O_CLOEXEC) : -1);
  const auto system = fd ? save::probe_file_system(fd.get()) : fail(Errc::not_found, "no device");
  return system ? system->type : "";
}

// The rows for a file target; all where its file system cannot be told.
std::span<const Need> file_systems_of(const root::Root& root, const config::Target& target,
                                      const std::string& device) {
  std::string type = type_of_device(root, device);
  if (type.empty()) {
    type = type_in_fstab(root, named_device(target));
  }
  const auto* const found = std::ranges::find(kFileSystems, type, &Need::what);
  return found == kFileSystems.end() ? std::span(kFileSystems) : std::span(found, 1);
}

// As far as it is there now.
Result<> check_raw_device(const root::Root& root, const std::string& device) {
  const Fd fd(root.running() ? ::open(device.c_str(), O_RDONLY | O_CLOEXEC) : -1);
  const auto may = fd ? save::check_is_free(fd.get()) : Result<>();
  return may ? may : in_context(may.error(), device);
}

// Of an image: what is mounted there is its own memory.
Result<> check_has_device(const config::Target& target) {
  TRY_ASSIGN(const save::FilePlace place, save::parse_file_place(target.where));
  if (place.device.empty()) {
    return fail(
        Errc::unsupported,
        "nothing is mounted at {} in the capture kernel: name the device of its file system "
        "(file:DEVICE:/FOLDER)",
        place.folder);
  }
  return {};
}

class Collector {
 public:
  explicit Collector(const KernelModules& kernel) : kernel_(kernel) {}

  // Whether the kernel has what is needed.
  bool add(const Need& need) {
    const bool there =
        std::ranges::any_of(need.any, [&](auto name) { return kernel_.is_there(name); });
    for (const Names* names : {&need.also, &need.any}) {
      names_.insert(names_.end(), names->begin(), names->end());
    }
    return there;
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

// What this machine says of its own disk, else what the name does.
Result<> add_disk(Collector& collector, const root::Root& root, const std::string& device,
                  const Need& any) {
  const std::string name = device.substr(device.rfind('/') + 1);
  if (collector.add(driver_modules(root, "/sys/class/block/" + name))) {
    return {};
  }
  const auto* const named = std::ranges::find_if(
      kDisksByName, [&](const auto& row) { return device.starts_with(row.first); });
  const Need& need = named == kDisksByName.end() ? any : named->second;
  return collector.add(need) ? Result<>() : no_driver(need.what);
}

Result<> add_file_system(Collector& collector, const root::Root& root, const config::Target& target,
                         const std::string& device) {
  bool any = false;
  for (const Need& system : file_systems_of(root, target, device)) {
    any = collector.add(system) || any;
  }
  return any ? Result<>() : no_driver("the file system");
}

Result<> add_target(Collector& collector, const root::Root& root,
                    const config::CaptureConfig& config, const config::Target& target) {
  TRY(check_target(root, config, target));
  const Need& need = std::ranges::find(kTargets, target.kind, &TargetNeed::kind)->need;
  if (const auto address = config::network_address_of(target);
      address && address->family == AF_INET6) {
    collector.add(std::vector<std::string>{"ipv6"});  // where it is a module
  }
  if (!is_on_disk(target)) {
    return collector.add(need) ? Result<>() : no_driver(need.what);
  }
  const std::string device = device_of(root, target);
  TRY(add_disk(collector, root, device, need));
  return target.kind == "file" ? add_file_system(collector, root, target, device) : Result<>();
}

// A watchdog that the crashed kernel had started would reset the machine before the dump is
// through. Its driver stops it when it is loaded (drivers/watchdog, v6.1: i6300esb.c,
// esb_initdevice; iTCO_wdt.c, iTCO_wdt_probe).
void add_watchdogs(Collector& collector, const root::Root& root) {
  const std::string folder = "/sys/class/watchdog";
  for (const std::string& name : root.list(folder).value_or(std::vector<std::string>())) {
    collector.add(driver_modules(root, folder + "/" + name));
  }
}

}  // namespace

Result<> check_target(const root::Root& root, const config::CaptureConfig& config,
                      const config::Target& target) {
  const save::TargetKind* const kind = save::find_target(target.kind);
  if (kind == nullptr ||
      std::ranges::find(kTargets, target.kind, &TargetNeed::kind) == kTargets.end()) {
    return fail(Errc::invalid, "there is no such kind of target");
  }
  TRY(kind->check(target.where));
  if (target.kind == "ssh") {
    TRY_ASSIGN(const config::SshDestination to, config::parse_ssh_destination(target.where));
    TRY(check_ssh(root, config.ssh, to.endpoint));
  }
  if (target.kind == "file") {
    TRY(check_has_device(target));
  }
  if (is_on_disk(target)) {
    TRY(check_is_plain(root, target));
  }
  if (target.kind == "file") {
    TRY_ASSIGN(const save::FilePlace place, save::parse_file_place(target.where));
    TRY(find_disk_folder(root, mounts_of(root), place));
  }
  return target.kind == "raw" ? check_raw_device(root, target.where) : Result<>();
}

Result<NeededModules> needed_modules(const root::Root& root, const KernelModules& kernel,
                                     const config::CaptureConfig& config) {
  NeededModules needed;
  Collector collector(kernel);
  if (!collector.add(kMachine)) {
    return fail(Errc::unsupported, "this kernel has no virtio");
  }
  add_watchdogs(collector, root);
  for (const config::Target& target : config.targets) {
    if (const Result<> added = add_target(collector, root, config, target); !added) {
      needed.remarks.push_back(
          {added.error().code, fmt::format("target {}: {}", target.kind, added.error().message)});
    }
  }
  if (needed.remarks.size() == config.targets.size()) {
    return fail(Errc::unsupported, "{}; no target is left", needed.remarks.front().text);
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
