// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/status/status_facts.h"

#include <fcntl.h>
#include <sys/klog.h>

#include <algorithm>

#include "guest/image/capture_image.h"
#include "guest/image/decompress.h"
#include "guest/image/find_network.h"
#include "guest/image/needed_modules.h"
#include "guest/image/ready_image.h"
#include "guest/image/stale_image.h"
#include "guest/kexec/kernel_image.h"
#include "guest/root/read_config.h"
#include "guest/root/read_word.h"
#include "guest/save/block_device.h"
#include "guest/save/target_kinds.h"
#include "guest/setup/boot_loader.h"
#include "guest/setup/early_hooks.h"
#include "guest/setup/kernels.h"
#include "guest/setup/record.h"
#include "guest/setup/services.h"
#include "src/base/shell.h"
#include "src/base/sys.h"

namespace vmcore::guest::status {
namespace {

// Bound devices are links in the folder of the driver, named by their bus address.
bool is_bound(const root::Root& root, std::string_view driver) {
  const auto names = root.list(driver).value_or(std::vector<std::string>());
  return std::ranges::any_of(names, [](const std::string& name) {
    return name.find(':') != std::string::npos;  // 0000:00:03.0, QEMU0001:00
  });
}

bool has_port(const root::Root& root, std::string_view name) {
  constexpr std::string_view kPorts = "/sys/class/virtio-ports";
  const auto ports = root.list(kPorts).value_or(std::vector<std::string>());
  return std::ranges::any_of(ports, [&](const std::string& port) {
    return root::read_word(root, {fmt::format("{}/{}/name", kPorts, port)}) == name;
  });
}

// The device, not /dev/vsock: loopback and the drivers of other hypervisors make that file, too.
bool has_vsock(const root::Root& root) {
  constexpr std::string_view kDevices = "/sys/bus/virtio/devices";
  constexpr std::string_view kVsock = "0x0013";  // VIRTIO_ID_VSOCK
  const auto devices = root.list(kDevices).value_or(std::vector<std::string>());
  return std::ranges::any_of(devices, [&](const std::string& device) {
    return root::read_word(root, {fmt::format("{}/{}/device", kDevices, device)}) == kVsock;
  });
}

// From the kernel itself (CONFIG_IKCONFIG_PROC), otherwise from an installed file.
std::string kernel_config(const root::Root& root, std::string_view release) {
  for (const std::string& path :
       {std::string("/proc/config.gz"), fmt::format("/boot/config-{}", release),
        fmt::format("/lib/modules/{}/config", release)}) {
    if (auto text = root.read(path).and_then(image::decompress)) {
      return *std::move(text);
    }
  }
  return "";
}

Result<kexec::Need> read_need(const root::Root& root, const StatusFacts& facts) {
  TRY_ASSIGN(const std::string path, kexec::find_kernel_image(root, facts.release));
  TRY_ASSIGN(const kexec::KernelImage kernel, kexec::read_kernel_image(root, path));
  const std::string image = facts.record ? facts.record->image : facts.image;
  std::uint64_t size = image::assumed_image_size(root);
  if (!image.empty()) {
    TRY_ASSIGN(const Fd file, root.open(image, O_RDONLY));
    TRY_ASSIGN(size, sys::file_size(file.get()));
  }
  return kexec::need_of(kernel, size);
}

std::string read_kernel_log() {
  constexpr int kSize = 10;  // SYSLOG_ACTION_SIZE_BUFFER, _READ_ALL: klogctl(3)
  constexpr int kReadAll = 3;
  std::string log(static_cast<std::size_t>(std::max(0, ::klogctl(kSize, nullptr, 0))), '\0');
  const int length = ::klogctl(kReadAll, log.data(), static_cast<int>(log.size()));
  log.resize(static_cast<std::size_t>(std::max(0, length)));
  return log;
}

void read_reservation(const root::Root& root, StatusFacts& facts) {
  const root::Tree tree(root);
  const kexec::Machine machine = setup::machine_of(tree, setup::largest_need(tree));
  facts.booted = kexec::reservation_of(root.read("/proc/cmdline").value_or(""), machine);
  facts.kernel_says = kexec::kernel_on_crashkernel(read_kernel_log());
  for (const setup::BootLine& line :
       setup::boot_lines(tree).value_or(std::vector<setup::BootLine>())) {
    const kexec::Reservation reservation = kexec::reservation_of(line.line, machine);
    if (facts.next_file.empty() || !reservation.serves()) {
      facts.next_file = line.where;
      facts.next = reservation;
    }
  }
}

// Commands that have not succeeded, and files that are as they were before.
void read_setup(const root::Root& root, StatusFacts& facts) {
  const setup::Record record = setup::read_record(root).value_or(setup::Record());
  facts.set_up = !record.changes.empty() || !record.pending.empty();
  for (const setup::Command& command : record.pending) {
    facts.undone.push_back(fmt::format("`{}` has not succeeded", shell_command(command)));
  }
  for (const root::Change& change : record.changes) {
    const auto now = root::read_node(root, change.path);
    if (now && *now == change.before && *now != change.after) {
      facts.undone.push_back(fmt::format("{} is as it was before", change.path));
    }
  }
}

// The device to the host that the target lacks; empty if it is there, and for other targets.
std::string missing_way(const root::Root& root, const config::Target& target) {
  if (target.kind == "port") {
    const std::string_view name = target.where.empty() ? config::kPortName : target.where;
    return has_port(root, name) ? "" : fmt::format("virtio-serial port named {}", name);
  }
  return target.kind == "vsock" && !has_vsock(root) ? "vsock device" : "";
}

Result<> check_exists(const root::Root& root, const config::Target& target) {
  const std::string device = save::device_of(target);
  if (!root.running() || device.empty()) {
    return {};
  }
  const auto found = save::find_device(device, std::chrono::seconds(0));
  return found ? Result<>() : tl::unexpected(found.error());
}

void read_targets(const root::Root& root, const config::CaptureConfig& config, StatusFacts& facts) {
  for (const config::Target& target : config.targets) {
    const std::string name = config::format_target(target);
    Result<> checked = image::check_target(root, config, target);
    checked = checked ? check_exists(root, target) : checked;
    if (!checked) {
      facts.broken_targets.push_back(
          {checked.error().code, fmt::format("target {}: {}", name, checked.error().message)});
    } else if (const std::string missing = missing_way(root, target); !missing.empty()) {
      facts.missing_ways.push_back(
          {Errc::not_found, fmt::format("target {}: this machine has no {}", name, missing)});
    }
  }
}

EarlyFacts read_early(const root::Root& root, const StatusFacts& facts) {
  EarlyFacts early{.set_up = setup::has_early_hooks(root)};
  early.copy = kexec::read_early_copy(root, facts.release);
  const std::string initrd = kexec::find_boot_initrd(root, facts.release);
  early.made = initrd.empty() || kexec::is_in_initrd(root, facts.release, initrd);
  const std::string image = image::read_image(root, facts.image).value_or("");
  early.current = early.copy && !facts.image_stale && image::image_sum(image) == early.copy->sum;
  early.loaded = kexec::read_early_load(root);
  early.command = shell_command(setup::initramfs_command(root::Tree(root), facts.release));
  return early;
}

}  // namespace

StatusFacts read_status(const root::Root& root) {
  StatusFacts facts{.release = kexec::running_release()};
  facts.reserved = kexec::crash_memory_size(root);
  facts.kexec = facts.reserved.has_value();
  facts.config = kernel_config(root, facts.release);
  facts.ranges = kexec::crash_ranges(kexec::parse_resources(root.read("/proc/iomem").value_or("")));
  read_reservation(root, facts);
  read_setup(root, facts);
  facts.locks = kexec::read_load_locks(root, kexec::Slot::crash);
  facts.record = kexec::read_load_record(root);
  const bool ours = facts.record && image::is_our_image(facts.record->image, facts.release);
  facts.image = ours ? facts.record->image : image::capture_image_path(facts.release);
  if (!root.exists(facts.image)) {
    facts.image.clear();
  }
  facts.image_stale = !facts.image.empty() && image::is_stale(root, facts.image, facts.release);
  facts.early = read_early(root, facts);
  facts.need = read_need(root, facts);
  facts.loaded = kexec::is_loaded(root, kexec::Slot::crash);
  facts.stays_valid = kexec::stays_valid(root);
  facts.reload_rule = root.exists(setup::kReloadRule);
  facts.notifies_first =
      root::read_word(root, {"/sys/module/kernel/parameters/crash_kexec_post_notifiers"}) == "Y";
  facts.fw_cfg = root.exists("/sys/firmware/qemu_fw_cfg/rev");
  facts.vmcoreinfo_device = root.exists("/sys/firmware/qemu_fw_cfg/by_name/etc/vmcoreinfo");
  // Linux 5.14 split the driver by bus (drivers/misc/pvpanic); before, it was an ACPI driver.
  facts.panic_driver = is_bound(root, "/sys/bus/pci/drivers/pvpanic-pci") ||
                       is_bound(root, "/sys/bus/platform/drivers/pvpanic-mmio") ||
                       is_bound(root, "/sys/bus/acpi/drivers/pvpanic");
  facts.port = has_port(root, config::kPortName);
  facts.capture = root::read_config(root);
  const config::CaptureConfig config = facts.capture.value_or(config::CaptureConfig());
  read_targets(root, config, facts);
  facts.network = image::network_now(root, config).remarks;
  facts.follows_network = root.exists(setup::kNetworkTimer) || root.exists(setup::kNetworkScript);
  facts.last = newest_dump(root, config);
  facts.unseen_targets = unseen_targets(root, config);
  facts.pstore = newest_pstore(root);
  facts.pstore_driver =
      root::read_word(root, {"/sys/module/pstore/parameters/backend"}).value_or("");
  if (facts.pstore_driver == "(null)") {
    facts.pstore_driver.clear();
  }
  return facts;
}

std::optional<bool> is_configured(std::string_view config, std::string_view name) {
  const std::string set = fmt::format("CONFIG_{}=", name);
  const std::string unset = fmt::format("# CONFIG_{} is not set", name);
  while (!config.empty()) {
    const std::string_view line = config.substr(0, config.find('\n'));
    config.remove_prefix(std::min(line.size() + 1, config.size()));
    if (line.starts_with(set)) {
      return line == set + "y" || line == set + "m";
    }
    if (line == unset) {
      return false;
    }
  }
  return std::nullopt;
}

}  // namespace vmcore::guest::status
