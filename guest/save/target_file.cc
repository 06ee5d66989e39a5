// SPDX-License-Identifier: GPL-2.0-or-later
// file: a folder that keeps the newest dumps (dump_files.h). Beside them are the files in which
// EVE-OS records the reason of a reboot (lf-edge/eve, pkg/kdump/kdump.sh): reboot-reason,
// reboot-stack, boot-reason.
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <functional>
#include <numeric>
#include <vector>

#include "guest/save/block_device.h"
#include "guest/save/dump_files.h"
#include "guest/save/dump_time.h"
#include "guest/save/folder.h"
#include "guest/save/logical_volume.h"
#include "guest/save/target.h"
#include "src/base/fd.h"
#include "src/base/sync.h"
#include "src/base/sys.h"

namespace vmcore::guest::save {
namespace {

constexpr const char* kMountPoint = "/mnt/vmcore";
constexpr std::chrono::seconds kDeviceWait{30};  // a USB disk may need several

Result<Fd> create(const std::string& path, int flags) {
  Fd file(::open(path.c_str(), O_CREAT | O_CLOEXEC | O_NOFOLLOW | flags, 0600));
  if (!file) {
    return fail_errno(errno, path);
  }
  return file;
}

Result<> write_text(const std::string& path, std::string_view text) {
  TRY_ASSIGN(const Fd file, create(path, O_WRONLY | O_TRUNC));
  if (auto written = sys::write_full(file.get(), std::as_bytes(std::span(text))); !written) {
    return in_context(std::move(written).error(), path);
  }
  return sync_fd(file.get(), path);
}

// This also writes the names of folders to the disk.
Result<> sync_file_system(const std::string& folder) {
  const Fd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return fd && ::syncfs(fd.get()) == 0 ? Result<>() : fail_errno(errno, folder);
}

std::string without_slash(std::string folder) {
  folder.erase(folder.find_last_not_of('/') + 1);
  return folder;
}

// The dumps in a folder. `top`: the top of its file system, as for save_in.
class DumpFolder {
 public:
  DumpFolder(std::string path, const std::string& top, const Crash& crash)
      : path_(std::move(path)), is_top_(path_ == top), crash_(crash) {}

  const std::string& path() const { return path_; }
  std::string file(const std::string& time, DumpFile file) const {
    return dump_file(crash_.config.layout, path_, time, file);
  }
  std::string reasons() const {
    return is_top_ ? path_ : reason_folder(crash_.config.layout, path_);
  }

  // Oldest first, without `mine`.
  std::vector<std::string> others(const std::string& mine) const {
    std::vector<std::string> times = dump_times(crash_.config.layout, names_in(path_));
    std::erase(times, mine);
    return times;
  }

  // Makes room for the names of a new dump; returns its time.
  Result<std::string> add() const;
  // Files of others beside a dump stay, and so does the folder then.
  void remove(const std::string& time) const {
    for (const DumpFile name : kDumpFiles) {
      ::unlink(file(time, name).c_str());
    }
    if (crash_.config.layout == config::Layout::folders) {
      ::rmdir((path_ + "/" + time).c_str());
    }
    crash_.say(fmt::format("removed the older dump {}/{}", path_, time));
  }
  // The bytes that removing the dump would free.
  std::uint64_t size(const std::string& time) const {
    std::uint64_t bytes = 0;
    for (const DumpFile name : kDumpFiles) {
      struct stat status {};
      if (::stat(file(time, name).c_str(), &status) == 0) {
        bytes += static_cast<std::uint64_t>(status.st_blocks) * 512;
      }
    }
    return bytes;
  }

 private:
  // Errno of the attempt; 0 if the names were free.
  int try_to_add(const std::string& time) const {
    if (crash_.config.layout == config::Layout::folders) {
      return ::mkdir((path_ + "/" + time).c_str(), 0700) == 0 ? 0 : errno;
    }
    const Fd log(::open(file(time, DumpFile::log).c_str(), O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    return log ? 0 : errno;
  }

  std::string path_;
  bool is_top_;
  const Crash& crash_;
};

Result<std::string> DumpFolder::add() const {
  const CrashReport& report = crash_.report;
  const std::string first = dump_time(
      report.crash_time ? static_cast<std::time_t>(*report.crash_time) : std::time(nullptr));
  for (unsigned number = 0; number < 100; ++number) {
    std::string time = number == 0 ? first : fmt::format("{}.{}", first, number);
    const int error = try_to_add(time);
    if (error == 0) {
      return time;
    }
    if (error != EEXIST) {
      return fail_errno(error, path_ + "/" + time);
    }
  }
  return fail(Errc::exists, "{}/{}: 100 dumps of this second exist already", path_, first);
}

// Removes a dump to free its space. btrfs and xfs free it only after a sync.
void free_dump(const DumpFolder& folder, const std::string& time, const Crash& crash) {
  folder.remove(time);
  static_cast<void>(sync_file_system(folder.path()));
  crash.heartbeat();
}

Result<std::uint64_t> free_bytes(const std::string& folder) {
  struct statvfs status {};
  if (::statvfs(folder.c_str(), &status) != 0) {
    return fail_errno(errno, folder);
  }
  return std::uint64_t{status.f_bfree} * status.f_frsize;  // root may use the reserved blocks
}

// Removes the oldest dumps until `wanted` bytes are free. Removes none if that would not suffice.
Result<> make_room(const DumpFolder& folder, const std::string& mine, std::uint64_t wanted,
                   const Crash& crash) {
  const std::vector<std::string> dumps = folder.others(mine);
  TRY_ASSIGN(std::uint64_t room, free_bytes(folder.path()));
  std::vector<std::uint64_t> sizes(dumps.size());
  std::ranges::transform(dumps, sizes.begin(), [&](const auto& time) { return folder.size(time); });
  TRY(check_room(folder.path(), room, sizes, wanted));
  for (auto dump = dumps.begin(); room < wanted && dump != dumps.end(); ++dump) {
    free_dump(folder, *dump, crash);
    TRY_ASSIGN(room, free_bytes(folder.path()));
  }
  return {};
}

// Runs `work`, which needs little space. After each Errc::no_space, removes the oldest dump and
// runs it again.
Result<> with_some_room(const DumpFolder& folder, const std::string& mine, const Crash& crash,
                        const std::function<Result<>()>& work) {
  const std::vector<std::string> dumps = folder.others(mine);
  for (auto dump = dumps.begin();; ++dump) {
    Result<> done = work();
    if (done || done.error().code != Errc::no_space || dump == dumps.end()) {
      return done;
    }
    free_dump(folder, *dump, crash);
  }
}

// Keeps `saved`, whatever its time, and the newest of the others.
void keep_newest(const DumpFolder& folder, const std::string& saved, const Crash& crash) {
  const std::vector<std::string> others = folder.others(saved);
  const std::size_t keep = crash.config.keep == 0 ? others.size() : crash.config.keep - 1;
  for (std::size_t i = 0; i + keep < others.size(); ++i) {
    folder.remove(others[i]);
  }
}

// `what` is what was saved: "dmesg", "vmcore".
Result<> write_reasons(const std::string& folder, const CrashReport& report, std::string_view what,
                       const std::string& path) {
  const std::string reason = report.reason.empty() ? "kernel panic" : report.reason;
  TRY(write_text(folder + "/reboot-reason",
                 fmt::format("kernel panic, {} collected: {}: {}\n", what, path, reason)));
  TRY(write_text(folder + "/reboot-stack", report.stack.empty() ? report.dmesg : report.stack));
  return write_text(folder + "/boot-reason", "BootReasonKernel\n");
}

// Never replaces a file.
Result<> rename_synced(const std::string& from, const std::string& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) != 0) {
    return fail_errno(errno, to);
  }
  return sync_folder_of(to);
}

// A dump gets its final name last: after a failure there is only "vmcore.incomplete". If there is
// no room for it, no file is left.
Result<convert::Outcome> write_file(const std::string& partial, const std::string& final,
                                    const CheckRoom& check_room, const Crash& crash) {
  TRY_ASSIGN(const Fd file, create(partial, O_RDWR | O_EXCL));
  TRY_ASSIGN(const auto writer, formats::make_kdump_writer(file.get(), Codec::lzo, std::nullopt));
  bool has_pages = true;
  DumpSteps steps{.log_written = [&] { ::fsync(file.get()); }};
  if (check_room) {
    steps.check_room = [&](std::uint64_t bytes) {
      const Result<> fits = check_room(bytes);
      has_pages = fits.has_value();
      return fits;
    };
  }
  auto outcome = write_dump(*writer, crash, steps);
  if (!outcome && !has_pages) {
    ::unlink(partial.c_str());
    return outcome;
  }
  if (!outcome) {
    static_cast<void>(::fsync(file.get()));  // the partial dump is useful
    return in_context(std::move(outcome).error(), partial);
  }
  TRY(sync_fd(file.get(), partial));
  if (!outcome->incomplete) {
    TRY(rename_synced(partial, final));
  }
  return outcome;
}

// The folders of the initramfs are lost at the reboot.
Result<> check_lasts(const std::string& folder) {
  struct statfs status {};
  if (::statfs(folder.c_str(), &status) != 0) {
    return fail_errno(errno, folder);
  }
  if (status.f_type == TMPFS_MAGIC || status.f_type == RAMFS_MAGIC) {
    return fail(Errc::unsupported,
                "{} is in memory and is lost at the reboot: name a device (file:DEVICE:/FOLDER), "
                "or mount one there",
                folder);
  }
  return {};
}

// Creates the folder. If that fails in a file system that was mounted at `root` for it, uses the
// parent folder: a dump in the wrong folder is better than none.
Result<std::string> usable_folder(const std::string& root, std::string folder, const Say& say) {
  for (;;) {
    const Result<> usable = make_folders(folder).and_then([&] { return check_lasts(folder); });
    if (usable) {
      return folder;
    }
    if (root.empty() || folder.size() <= root.size() || usable.error().code == Errc::no_space) {
      return tl::unexpected(usable.error());
    }
    say(fmt::format("{}: using the folder above", usable.error().message));
    folder.resize(folder.rfind('/'));
  }
}

// The text files of a dump. Each is synced before the next is written.
class Texts {
 public:
  // `shown`: the path of the log outside the mount point.
  Texts(const DumpFolder& folder, const std::string& time, std::string shown, const Crash& crash)
      : folder_(folder), time_(time), shown_(std::move(shown)), crash_(crash) {}

  // Writes the log first. If it does not fit, its newest lines are kept, because they describe the
  // crash.
  Result<> write() {
    constexpr std::size_t kLeast = 4096;
    std::string_view text = crash_.report.dmesg;
    Result<> done = with_some_room(folder_, time_, crash_, [&] { return write_all(text); });
    while (!done && done.error().code == Errc::no_space && text.size() > kLeast) {
      text = newest_lines(text, text.size() / 2);
      done = write_all(text);
    }
    if (!log_is_there_) {
      return done;
    }
    crash_.say(fmt::format("{} is in {}",
                           text.size() == crash_.report.dmesg.size()
                               ? "the log"
                               : "the newest part of the log, as much as fits,",
                           shown_));
    if (!done) {
      crash_.say(done.error().message);
    }
    return {};
  }

 private:
  Result<> write_all(std::string_view log) {
    log_is_there_ = false;
    TRY(write_text(folder_.file(time_, DumpFile::log), log));
    TRY(sync_file_system(folder_.path()));
    log_is_there_ = true;
    if (!crash_.config.tag.empty()) {
      TRY(write_text(folder_.file(time_, DumpFile::tag), crash_.config.tag + "\n"));
    }
    return write_reasons(folder_.reasons(), crash_.report, "dmesg", shown_);
  }

  const DumpFolder& folder_;
  const std::string& time_;
  std::string shown_;
  const Crash& crash_;
  bool log_is_there_ = false;
};

// `root` is the mount point if the file system was mounted for this; empty if it was mounted
// before.
Result<Saved> save_in(const std::string& root, const std::string& wanted, const Crash& crash) {
  TRY_ASSIGN(std::string path, usable_folder(root, without_slash(root + wanted), crash.say));
  const DumpFolder folder(std::move(path), root, crash);
  std::string time;
  TRY(with_some_room(folder, "", crash, [&]() -> Result<> {
    TRY_ASSIGN(time, folder.add());
    return {};
  }));
  const auto shown = [&](DumpFile file) { return folder.file(time, file).substr(root.size()); };
  TRY(Texts(folder, time, shown(DumpFile::log), crash).write());
  crash.heartbeat();
  const std::string partial = folder.file(time, DumpFile::incomplete);
  const CheckRoom room = [&](std::uint64_t bytes) { return make_room(folder, time, bytes, crash); };
  TRY_ASSIGN(convert::Outcome outcome,
             write_file(partial, folder.file(time, DumpFile::vmcore), room, crash));
  const std::string file = shown(outcome.incomplete ? DumpFile::incomplete : DumpFile::vmcore);
  if (const Result<> told = write_reasons(folder.reasons(), crash.report, "vmcore", file); !told) {
    crash.say(told.error().message);
  }
  keep_newest(folder, time, crash);
  return Saved{file, std::move(outcome)};
}

class Mount {
 public:
  static Result<Mount> make(const FilePlace& place, const Say& say) {
    TRY_ASSIGN(const std::string path, ready_device(place.device, kDeviceWait));
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) {
      return fail_errno(errno, path);
    }
    auto system = probe_file_system(fd.get());
    if (!system) {
      return in_context(std::move(system).error(), path);
    }
    TRY(make_folders(kMountPoint));
    Result<> mounted = mount_on(path, system->type, place.subvolume);
    if (!mounted && !place.subvolume.empty() && mounted.error().code == Errc::not_found) {
      say(fmt::format("{} no longer has the subvolume {}: using its default subvolume", path,
                      place.subvolume));
      mounted = mount_on(path, system->type, "");
    }
    TRY(mounted);
    return Mount(true);
  }
  Mount(Mount&& other) noexcept : mounted_(std::exchange(other.mounted_, false)) {}
  Mount& operator=(Mount&&) = delete;
  ~Mount() {
    if (mounted_) {
      ::umount(kMountPoint);
    }
  }

 private:
  explicit Mount(bool mounted) : mounted_(mounted) {}

  static Result<> mount_on(const std::string& path, const std::string& type,
                           const std::string& subvolume) {
    const std::string options = subvolume.empty() ? "" : "subvol=" + subvolume;
    if (::mount(path.c_str(), kMountPoint, type.c_str(), MS_NOSUID | MS_NODEV | MS_NOEXEC,
                options.c_str()) != 0) {
      return fail_errno(
          errno, fmt::format("mount {}{} ({}) on {}", path,
                             subvolume.empty() ? "" : "[" + subvolume + "]", type, kMountPoint));
    }
    return {};
  }

  bool mounted_;
};

}  // namespace

Result<> check_room(std::string_view folder, std::uint64_t free,
                    std::span<const std::uint64_t> older_dumps, std::uint64_t wanted) {
  const std::uint64_t most = std::accumulate(older_dumps.begin(), older_dumps.end(), free);
  return most >= wanted ? Result<>()
                        : fail(Errc::no_space, "{} has {} MiB free, and a dump may need {} MiB",
                               folder, free >> 20, (wanted + (1U << 20) - 1) >> 20);
}

Result<FilePlace> parse_file_place(const std::string& where) {
  const std::size_t colon = where.rfind(":/");
  if (colon == std::string::npos && where.starts_with('/')) {
    return FilePlace{.device = "", .folder = where};
  }
  if (colon == std::string::npos) {
    return fail(Errc::invalid, "\"{}\" is not DEVICE:/FOLDER", where);
  }
  FilePlace place{.device = where.substr(0, colon), .folder = where.substr(colon + 1)};
  if (const std::size_t bracket = place.device.find('['); bracket != std::string::npos) {
    const std::string name = place.device.substr(bracket + 1);
    // A comma would start another mount option.
    if (!name.starts_with('/') || !name.ends_with(']') || name.find(',') != std::string::npos) {
      return fail(Errc::invalid, "\"{}\" is not DEVICE[/SUBVOLUME]:/FOLDER", where);
    }
    place.subvolume = name.substr(0, name.size() - 1);
    place.device.resize(bracket);
  }
  TRY(check_device_name(place.device));
  return place;
}

std::string format_file_place(const FilePlace& place) {
  const std::string subvolume = place.subvolume.empty() ? "" : "[" + place.subvolume + "]";
  return place.device + subvolume + (place.device.empty() ? "" : ":") + place.folder;
}

Result<Saved> save_to_folder(const std::string& where, const Crash& crash) {
  TRY_ASSIGN(const FilePlace place, parse_file_place(where));
  if (place.device.empty()) {
    return save_in("", place.folder, crash);
  }
  if (!crash.encryption.empty()) {
    return fail(Errc::denied,
                "this guest's memory is encrypted ({}), but its host can read its disks, and a "
                "dump in a file system cannot be sealed: use target raw or port with encrypt-to",
                crash.encryption);
  }
  TRY_ASSIGN(const Mount mount, Mount::make(place, crash.say));
  return save_in(kMountPoint, place.folder, crash);
}

Result<Saved> save_to_file(const std::string& where, const Crash& crash) {
  if (::access(where.c_str(), F_OK) == 0) {
    return fail(Errc::exists, "{} exists already", where);
  }
  TRY_ASSIGN(convert::Outcome outcome, write_file(where + ".incomplete", where, {}, crash));
  return Saved{outcome.incomplete ? where + ".incomplete" : where, std::move(outcome)};
}

}  // namespace vmcore::guest::save
