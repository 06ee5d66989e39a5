// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/image/disk_folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <sstream>

#include "guest/image/target_disks.h"
#include "guest/root/device_link.h"
#include "guest/save/block_device.h"
#include "guest/save/target_kinds.h"
#include "src/base/fd.h"

namespace vmcore::guest::image {
namespace {

// Decodes \040 and the like (fs/seq_file.c, mangle_path).
std::string unescaped(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::string_view digits = text.substr(i).substr(0, 4);
    const bool octal =
        digits.size() == 4 && digits[0] == '\\' &&
        std::ranges::all_of(digits.substr(1), [](char c) { return c >= '0' && c <= '7'; });
    if (octal) {
      plain += static_cast<char>((digits[1] - '0') * 64 + (digits[2] - '0') * 8 + digits[3] - '0');
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

std::vector<std::string> words_of(const std::string& line) {
  std::istringstream stream(line);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) {
    words.push_back(unescaped(word));
  }
  return words;
}

// Returns "/@rootfs" for "rw,subvol=@rootfs".
std::string subvolume_in(std::string_view options) {
  constexpr std::string_view kKey = "subvol=";
  while (!options.empty()) {
    const std::string_view option = options.substr(0, options.find(','));
    options.remove_prefix(std::min(option.size() + 1, options.size()));
    if (option.starts_with(kKey)) {
      const std::string_view name = option.substr(kKey.size());
      return (name.starts_with('/') ? "" : "/") + std::string(name);
    }
  }
  return "/";
}

std::vector<MountPoint> parse_fstab(std::string_view text) {
  std::vector<MountPoint> mounts;
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    const std::vector<std::string> words = words_of(line);
    if (words.size() >= 4 && !words[0].starts_with('#') && words[1].starts_with('/')) {
      mounts.push_back({.device = "",
                        .root = words[2] == "btrfs" ? subvolume_in(words[3]) : "/",
                        .at = words[1],
                        .type = words[2],
                        .source = words[0]});
    }
  }
  return mounts;
}

bool is_below(std::string_view path, std::string_view folder) {
  return folder == "/" || path == folder ||
         (path.starts_with(folder) && path.substr(folder.size()).starts_with('/'));
}

// The rest of a path below the folder: "/crash", or "/".
std::string rest_of(std::string_view path, std::string_view folder) {
  const std::string_view rest = path.substr(folder == "/" ? 0 : folder.size());
  return rest.empty() ? "/" : std::string(rest);
}

std::string joined(std::string_view folder, std::string_view rest) {
  return folder == "/" ? std::string(rest)
                       : std::string(folder) + (rest == "/" ? "" : std::string(rest));
}

// The mount that holds a path: the deepest one, and the last of several at the same place.
const MountPoint* holder_of(const std::vector<MountPoint>& mounts, std::string_view path) {
  const MountPoint* holder = nullptr;
  for (const MountPoint& mount : mounts) {
    if (is_below(path, mount.at) && (holder == nullptr || mount.at.size() >= holder->at.size())) {
      holder = &mount;
    }
  }
  return holder;
}

// The path without links, as far as it exists.
std::string without_links(const root::Root& root, const std::string& path) {
  std::error_code error;
  const auto name_of = [&](const Fd& fd) {
    return std::filesystem::read_symlink(fmt::format("/proc/self/fd/{}", fd.get()), error).string();
  };
  const auto top = root.open("/", O_PATH);
  std::string there = path;
  while (top && there.size() > 1) {
    if (const auto fd = root.open(there, O_PATH | O_DIRECTORY)) {
      const std::string above = name_of(*top);
      const std::string real = name_of(*fd);
      return is_below(real, above) ? joined(rest_of(real, above), rest_of(path, there)) : path;
    }
    there.resize(std::max<std::size_t>(there.rfind('/'), 1));
  }
  return path;
}

// The device of a target, compared with mounts.
class Device {
 public:
  Device(const root::Root& root, const std::string& name) : running_(root.running()), name_(name) {
    if (!running_) {
      return;
    }
    path_ = plain(root::device_link(name));
    struct stat status {};
    if (::stat(path_.c_str(), &status) == 0) {
      number_ = fmt::format("{}:{}", ::major(status.st_rdev), ::minor(status.st_rdev));
    }
  }

  bool is_mounted_by(const MountPoint& mount) const {
    if (mount.source == name_ || (running_ && plain(root::device_link(mount.source)) == path_) ||
        (!number_.empty() && mount.device == number_)) {
      return true;
    }
    // For a btrfs of several disks, a mount names one of them.
    return running_ && mount.type == "btrfs" && !uuid_of(path_).empty() &&
           uuid_of(mount.source) == uuid_of(path_);
  }

 private:
  static std::string plain(const std::string& path) {
    std::error_code error;
    const auto resolved = std::filesystem::canonical(path, error);
    return error ? path : resolved.string();
  }
  static std::string uuid_of(const std::string& path) {
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    const auto system = fd ? save::probe_file_system(fd.get()) : fail(Errc::not_found, "gone");
    return system ? system->uuid : "";
  }

  bool running_;
  const std::string& name_;
  std::string path_;
  std::string number_;
};

using Mounts = std::vector<const MountPoint*>;

// Where the guest sees a path of the file system, given from its top; nothing if no mount contains
// it.
std::optional<std::string> seen_by(const std::vector<MountPoint>& all, const Mounts& mine,
                                   const std::string& path) {
  std::optional<std::string> first;
  for (const MountPoint* mount : mine) {
    if (!is_below(path, mount->root)) {
      continue;
    }
    const std::string seen = joined(mount->at, rest_of(path, mount->root));
    if (holder_of(all, seen) == mount) {
      return seen;
    }
    first = first ? first : seen;
  }
  return first;
}

// On btrfs, whose top may not be mounted, the configuration names a folder as the guest sees it.
Result<std::string> seen_in_subvolumes(const std::vector<MountPoint>& all, const Mounts& mine,
                                       const save::FilePlace& place) {
  std::set<std::string> roots;
  bool is_from_the_top = false;
  bool is_below_one = false;
  for (const MountPoint* mount : mine) {
    roots.insert(mount->root);
    is_from_the_top |= mount->root != "/" && is_below(place.folder, mount->root);
    is_below_one |= is_below(place.folder, mount->at);
  }
  if (is_from_the_top) {
    return *seen_by(all, mine, place.folder);
  }
  if (is_below_one) {
    return place.folder;
  }
  if (roots.size() == 1 || roots.contains("/")) {
    return *seen_by(all, mine, joined(roots.size() == 1 ? *roots.begin() : "/", place.folder));
  }
  return fail(Errc::unsupported,
              "{} has several mounted subvolumes ({}), and {} is not below any of them: give the "
              "path of the folder as this guest sees it",
              place.device, fmt::join(roots, ", "), place.folder);
}

tl::unexpected<Error> hidden(const save::FilePlace& place, const std::string& seen,
                             const std::string& real, const MountPoint* holder) {
  const std::string what = seen == real ? fmt::format("{} here is not on {}", seen, place.device)
                                        : fmt::format("{} here is a link to {}, which is not on {}",
                                                      seen, real, place.device);
  if (holder == nullptr || !holder->source.starts_with("/dev/")) {
    return fail(Errc::unsupported,
                "{}: this guest would not see the dumps there; use another folder", what);
  }
  return fail(Errc::unsupported,
              "{}: this guest would not see the dumps there; use {}, which is mounted at {} "
              "(target = file:{}:{})",
              what, holder->source, holder->at, holder->source,
              joined(holder->root, rest_of(real, holder->at)));
}

}  // namespace

// Documentation/filesystems/proc.rst, 3.5: "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3
// /dev/root rw,errors=continue".
std::vector<MountPoint> parse_mountinfo(std::string_view text) {
  std::vector<MountPoint> mounts;
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    const std::vector<std::string> words = words_of(line);
    const auto dash = std::ranges::find(words, "-");
    if (dash - words.begin() < 6 || words.end() - dash < 3) {
      continue;
    }
    mounts.push_back({.device = words[2],
                      .root = words[3],
                      .at = words[4],
                      .type = *(dash + 1),
                      .source = *(dash + 2)});
  }
  return mounts;
}

std::vector<MountPoint> mounts_of(const root::Root& root) {
  return root.running() ? parse_mountinfo(root.read("/proc/self/mountinfo").value_or(""))
                        : parse_fstab(root.read("/etc/fstab").value_or(""));
}

Result<DiskFolder> find_disk_folder(const root::Root& root, const std::vector<MountPoint>& mounts,
                                    const save::FilePlace& wanted) {
  save::FilePlace place = wanted;
  place.folder.resize(std::max<std::size_t>(place.folder.find_last_not_of('/') + 1, 1));
  if (place.device.empty()) {
    return DiskFolder{place, place.folder};
  }
  const Device device(root, place.device);
  Mounts mine;
  for (const MountPoint& mount : mounts) {
    if (device.is_mounted_by(mount)) {
      mine.push_back(&mount);
    }
  }
  const bool btrfs =
      std::ranges::any_of(mine, [](const MountPoint* mount) { return mount->type == "btrfs"; });
  std::optional<std::string> seen;
  if (btrfs && place.subvolume.empty()) {
    TRY_ASSIGN(seen, seen_in_subvolumes(mounts, mine, place));
  } else {
    seen = seen_by(mounts, mine,
                   joined(place.subvolume.empty() ? "/" : place.subvolume, place.folder));
  }
  if (!seen) {
    return DiskFolder{place, std::nullopt};
  }
  const std::string real = without_links(root, *seen);
  const MountPoint* const holder = holder_of(mounts, real);
  if (std::ranges::find(mine, holder) == mine.end()) {
    return hidden(place, *seen, real, holder);
  }
  const std::string rest = rest_of(real, holder->at);
  return DiskFolder{{.device = place.device,
                     .subvolume = btrfs ? holder->root : "",
                     .folder = btrfs ? rest : joined(holder->root, rest)},
                    real};
}

std::optional<std::string> lasting_place(const root::Root& root,
                                         const std::vector<MountPoint>& mounts,
                                         const config::Target& target) {
  const auto id = volume_id(root, device_path(root, target));
  const std::string volume = id ? std::string(save::kVolumePrefix) + *id : "";
  if (save::place_of(target) != save::Place::folder) {
    return id ? std::optional(volume) : std::nullopt;
  }
  const auto place = save::parse_file_place(target.where);
  auto found = place ? find_disk_folder(root, mounts, *place) : tl::unexpected(place.error());
  if (!found || (!found->seen && !id)) {
    return std::nullopt;
  }
  found->place.device = id ? volume : found->place.device;
  return save::format_file_place(found->place);
}

std::optional<config::Target> target_in(const root::Root& root, const std::string& folder) {
  const std::vector<MountPoint> mounts = mounts_of(root);
  const MountPoint* const mount = holder_of(mounts, folder);
  if (mount == nullptr) {
    return std::nullopt;
  }
  std::string device = mount->source;
  if (root.running()) {
    const Fd fd(::open(device.c_str(), O_RDONLY | O_CLOEXEC));
    const auto system = fd ? save::probe_file_system(fd.get()) : fail(Errc::not_found, "none");
    device = system ? "UUID=" + system->uuid : "";
  }
  return device.starts_with("UUID=")
             ? std::optional(
                   config::Target{.kind = "file",
                                  .where = save::format_file_place(
                                      {.device = device, .folder = rest_of(folder, mount->at)})})
             : std::nullopt;
}

config::CaptureConfig with_disk_folders(const root::Root& root, config::CaptureConfig config) {
  const std::vector<MountPoint> mounts = mounts_of(root);
  for (config::Target& target : config.targets) {
    target.where = lasting_place(root, mounts, target).value_or(target.where);
  }
  return config;
}

}  // namespace vmcore::guest::image
