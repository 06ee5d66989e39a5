// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/save/block_device.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <span>
#include <utility>

#include "guest/save/folder.h"
#include "guest/save/wait_until.h"
#include "src/base/fd.h"
#include "src/base/little_endian.h"
#include "src/base/sys.h"
#include "src/base/whole_file.h"

namespace vmcore::guest::save {
namespace {

using Bytes = std::span<const std::byte>;

// Enough for the superblock of btrfs, which has the largest offset.
constexpr std::size_t kSuperblocks = 68U << 10;

std::string_view text_at(Bytes bytes, std::size_t at, std::size_t size) {
  return {reinterpret_cast<const char*>(bytes.data()) + at, size};
}

// A label ends at a NUL, or is padded with blanks.
std::string label_at(Bytes bytes, std::size_t at, std::size_t size) {
  std::string_view text = text_at(bytes, at, size);
  text = text.substr(0, text.find('\0'));
  return std::string(text.substr(0, text.find_last_not_of(' ') + 1));
}

std::string uuid_at(Bytes bytes, std::size_t at) {
  std::string text;
  for (std::size_t i = 0; i < 16; ++i) {
    text += i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "";
    text += fmt::format("{:02x}", std::to_integer<unsigned>(bytes[at + i]));
  }
  return text;
}

std::string fat_serial_at(Bytes bytes, std::size_t at) {
  const std::uint32_t serial = load<ul32>(bytes, at).value_or(0U);
  return fmt::format("{:04X}-{:04X}", serial >> 16, serial & 0xffff);
}

// A known file system and its magic.
struct Known {
  std::size_t at;
  std::string_view magic;
  FileSystem (*read)(Bytes);
};

// Offsets: fs/ext4/ext4.h (struct ext4_super_block at 1024), fs/xfs/libxfs/xfs_format.h (struct
// xfs_dsb at 0), fs/btrfs (struct btrfs_super_block at 64 KiB), include/uapi/linux/msdos_fs.h
// (struct fat_boot_sector at 0).
constexpr std::array<Known, 5> kKnown = {{
    {0x438, std::string_view("\x53\xef", 2),
     [](Bytes b) {
       return FileSystem{"ext4", uuid_at(b, 0x468), label_at(b, 0x478, 16)};
     }},
    {0, "XFSB",
     [](Bytes b) {
       return FileSystem{"xfs", uuid_at(b, 32), label_at(b, 108, 12)};
     }},
    {0x10040, "_BHRfS_M",
     [](Bytes b) {
       return FileSystem{"btrfs", uuid_at(b, 0x10020), label_at(b, 0x1012b, 256)};
     }},
    {82, "FAT32   ",
     [](Bytes b) {
       return FileSystem{"vfat", fat_serial_at(b, 67), label_at(b, 71, 11)};
     }},
    {54, "FAT16   ",
     [](Bytes b) {
       return FileSystem{"vfat", fat_serial_at(b, 39), label_at(b, 43, 11)};
     }},
}};

bool same_but_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(
      a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

// Whether the device's file system is the one that "UUID=..." or "LABEL=..." names.
bool is_named(const std::string& path, std::string_view name) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  const auto found = fd ? probe_file_system(fd.get()) : fail(Errc::not_found, "gone");
  if (!found) {
    return false;
  }
  const std::string_view wanted = name.substr(name.find('=') + 1);
  return name.starts_with("UUID=") ? same_but_case(found->uuid, wanted) : found->label == wanted;
}

// The device that the device mapper shows under that id.
std::optional<std::string> look_for_volume(std::string_view id) {
  for (std::string& path : all_block_devices()) {
    if (first_line("/sys/class/block/" + path.substr(5) + "/dm/uuid") ==
        fmt::format("LVM-{}", id)) {
      return std::move(path);
    }
  }
  return std::nullopt;
}

std::optional<std::string> look_for(std::string_view device) {
  if (device.starts_with(kVolumePrefix)) {
    return look_for_volume(device.substr(kVolumePrefix.size()));
  }
  if (device.starts_with('/')) {
    const std::string path(device);
    return ::access(path.c_str(), F_OK) == 0 ? std::optional(path) : std::nullopt;
  }
  for (std::string& path : all_block_devices()) {
    if (is_named(path, device)) {
      return std::move(path);
    }
  }
  return std::nullopt;
}

}  // namespace

Result<FileSystem> probe_file_system(int fd) {
  std::vector<std::byte> bytes(kSuperblocks);
  TRY_ASSIGN(const std::size_t got, sys::pread_full(fd, bytes, 0));
  for (const Known& known : kKnown) {
    // Beyond the end of a small device the buffer has zeros, which match no magic.
    if (got != 0 && text_at(bytes, known.at, known.magic.size()) == known.magic) {
      return known.read(bytes);
    }
  }
  return fail(Errc::not_recognised,
              "unknown file system (supported: ext2 to ext4, xfs, btrfs, vfat)");
}

std::vector<std::string> all_block_devices() {
  std::vector<std::string> paths = names_in("/sys/class/block");
  for (std::string& name : paths) {
    std::ranges::replace(name, '!', '/');  // as sysfs spells cciss/c0d0
    name.insert(0, "/dev/");
  }
  return paths;
}

Result<> check_device_name(std::string_view device) {
  if (!device.starts_with("/dev/") && !device.starts_with("UUID=") &&
      !device.starts_with("LABEL=") && !device.starts_with(kVolumePrefix)) {
    return fail(Errc::invalid, "\"{}\" is not a device: use /dev/NAME, UUID=... or LABEL=...",
                device);
  }
  return {};
}

Result<std::string> find_device(std::string_view device, std::chrono::seconds wait) {
  TRY(check_device_name(device));
  std::optional<std::string> path;
  if (!wait_until([&] { return (path = look_for(device)).has_value(); }, wait)) {
    return fail(Errc::not_found, "device {} was not found; block devices: {}", device,
                fmt::join(all_block_devices(), " "));
  }
  return *std::move(path);
}

}  // namespace vmcore::guest::save
