#include "guest/setup/needed_modules.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <span>
#include <sstream>

#include "guest/save/block_device.h"
#include "guest/setup/find_network.h"

namespace vmcore::guest {
namespace {

using Names = std::vector<std::string_view>;

// One row a thing that a target may need: at least one of `any`, and of `also` what there is.
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
// Where the device's name tells which of these it is; SCSI is ten times as large.
const Need kVirtioBlk = {"virtio disks", {"virtio_blk"}, {}};

// The checksums and character sets are asked for by name at run time: no dependency shows them.
const std::array<Need, 4> kFileSystems = {{
    {"ext4", {"ext4"}, {"crc32c_generic"}},
    {"xfs", {"xfs"}, {"crc32c_generic"}},
    {"btrfs", {"btrfs"}, {"crc32c_generic", "xxhash_generic", "sha256_generic", "blake2b_generic"}},
    {"vfat", {"vfat"}, {"nls_cp437", "nls_ascii", "nls_iso8859_1", "nls_utf8"}},
}};

// What /etc/fstab calls the file system of a device.
std::string type_in_fstab(const Root& root, std::string_view device) {
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

// "UUID=12", "/dev/vdb" of a target's "UUID=12:/var/crash", "/dev/vdb"; where this is the machine
// that has it, its path.
std::string device_of(const Root& root, const Target& target) {
  const std::string device = target.where.substr(0, target.where.rfind(":/"));
  return root.running() ? find_device(device, std::chrono::seconds(0)).value_or(device) : device;
}

// What the device itself says, where this is the machine that has it.
std::string type_of_device(const Root& root, const std::string& device) {
  const Fd fd(root.running() ? ::open(device.c_str(), O_RDONLY | O_CLOEXEC) : -1);
  const auto system = fd ? probe_file_system(fd.get()) : fail(Errc::not_found, "no device");
  return system ? system->type : "";
}

// The rows for a file target; all where its file system cannot be told.
std::span<const Need> file_systems_of(const Root& root, const Target& target) {
  std::string type = type_of_device(root, device_of(root, target));
  if (type.empty()) {
    type = type_in_fstab(root, target.where.substr(0, target.where.rfind(":/")));
  }
  const auto* const found = std::ranges::find(kFileSystems, type, &Need::what);
  return found == kFileSystems.end() ? std::span(kFileSystems) : std::span(found, 1);
}

class Collector {
 public:
  explicit Collector(const KernelModules& kernel) : kernel_(kernel) {}

  // Whether the kernel has what is needed.
  bool add(const Need& need) {
    const bool there =
        std::ranges::any_of(need.any, [&](auto name) { return kernel_.is_there(name); });
    for (const Names* names : {&need.any, &need.also}) {
      names_.insert(names_.end(), names->begin(), names->end());
    }
    return there;
  }
  void add(const std::vector<std::string>& names) {
    names_.insert(names_.end(), names.begin(), names.end());
  }
  std::vector<std::string> names() && { return std::move(names_); }

 private:
  const KernelModules& kernel_;
  std::vector<std::string> names_;
};

// What the kernel lacks for the target, or empty.
std::string add_target(Collector& collector, const Root& root, const Target& target) {
  const auto* const found = std::ranges::find(kTargets, target.kind, &TargetNeed::kind);
  if (found == kTargets.end()) {
    return "that kind of target";
  }
  const bool blk = device_of(root, target).starts_with("/dev/vd");
  const Need& need = blk ? kVirtioBlk : found->need;
  if (!collector.add(need)) {
    return std::string(need.what);
  }
  if (target.kind != "file") {
    return "";
  }
  bool any = false;
  const std::span<const Need> systems = file_systems_of(root, target);
  for (const Need& system : systems) {
    any = collector.add(system) || any;
  }
  return any ? "" : "the file system";
}

}  // namespace

Result<NeededModules> needed_modules(const Root& root, const KernelModules& kernel,
                                     const CaptureConfig& config) {
  NeededModules needed;
  Collector collector(kernel);
  if (!collector.add(kMachine)) {
    return fail(Errc::unsupported, "this kernel has no virtio");
  }
  for (const Target& target : config.targets) {
    if (const std::string lack = add_target(collector, root, target); !lack.empty()) {
      needed.remarks.push_back(
          {Errc::unsupported,
           fmt::format("target {}: this kernel has no driver for {}", target.kind, lack)});
    }
  }
  if (needed.remarks.size() == config.targets.size()) {
    return fail(Errc::unsupported, "{}; no target is left", needed.remarks.front().text);
  }
  if (config.network && root.running()) {
    collector.add(drivers_of(config.network->interface));
  }
  needed.names = std::move(collector).names();
  return needed;
}

}  // namespace vmcore::guest
