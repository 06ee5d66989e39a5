// file: a folder that keeps the newest dumps, each in a folder of its own, named by the time of the
// crash. Beside those stand the files by which EVE-OS tells why it booted (lf-edge/eve,
// pkg/kdump/kdump.sh): reboot-reason, reboot-stack, boot-reason.
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <functional>
#include <vector>

#include "guest/save/block_device.h"
#include "guest/save/dump_time.h"
#include "guest/save/folder.h"
#include "guest/save/target.h"
#include "src/base/fd.h"
#include "src/base/sync.h"
#include "src/base/sys.h"

namespace vmcore::guest {
namespace {

constexpr const char* kMountPoint = "/mnt/vmcore";
constexpr std::chrono::seconds kDeviceWait{10};
constexpr std::array kFilesOfDump = {"vmcore", "vmcore.incomplete", "dmesg.txt", "tag"};

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

// Names of folders are on the disk as well then.
Result<> sync_file_system(const std::string& folder) {
  const Fd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return fd && ::syncfs(fd.get()) == 0 ? Result<>() : fail_errno(errno, folder);
}

std::string without_slash(std::string folder) {
  folder.erase(folder.find_last_not_of('/') + 1);
  return folder;
}

std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// Oldest first, without `mine`.
std::vector<std::string> other_dumps(const std::string& folder, const std::string& mine) {
  std::vector<std::string> dumps;
  for (const std::string& name : names_in(folder)) {
    if (is_dump_time(name) && folder + "/" + name != mine) {
      dumps.push_back(folder + "/" + name);
    }
  }
  return dumps;
}

// What somebody else put beside a dump stays, and with it the folder.
void remove_dump(const std::string& dump, const Say& say) {
  for (const char* name : kFilesOfDump) {
    ::unlink((dump + "/" + name).c_str());
  }
  ::rmdir(dump.c_str());
  say(fmt::format("removed the older dump {}", dump));
}

// The same of one that goes for its room, which btrfs and xfs give back later.
void free_dump(const std::string& folder, const std::string& dump, const Crash& crash) {
  remove_dump(dump, crash.say);
  static_cast<void>(sync_file_system(folder));
  crash.beat();
}

Result<std::uint64_t> free_bytes(const std::string& folder) {
  struct statvfs status {};
  if (::statvfs(folder.c_str(), &status) != 0) {
    return fail_errno(errno, folder);
  }
  return std::uint64_t{status.f_bavail} * status.f_frsize;
}

// Bytes that removing it would free.
std::uint64_t size_of_dump(const std::string& dump) {
  std::uint64_t bytes = 0;
  for (const char* name : kFilesOfDump) {
    struct stat status {};
    if (::stat((dump + "/" + name).c_str(), &status) == 0) {
      bytes += static_cast<std::uint64_t>(status.st_blocks) * 512;
    }
  }
  return bytes;
}

// Removes the oldest dumps until the pages of `mine` have room; none where that would not do.
Result<> make_room(const std::string& folder, const std::string& mine, const Crash& crash) {
  const std::vector<std::string> dumps = other_dumps(folder, mine);
  const std::uint64_t wanted = room_wanted(crash.image);
  TRY_ASSIGN(std::uint64_t room, free_bytes(folder));
  std::uint64_t most = room;
  for (const std::string& dump : dumps) {
    most += size_of_dump(dump);
  }
  if (most < wanted) {
    return fail(Errc::no_space, "{} has {} MiB free, and a dump may need {} MiB", folder,
                room >> 20, wanted >> 20);
  }
  for (auto dump = dumps.begin(); room < wanted && dump != dumps.end(); ++dump) {
    free_dump(folder, *dump, crash);
    TRY_ASSIGN(room, free_bytes(folder));
  }
  return {};
}

// Does what takes little room; where there is none, again with one of the oldest dumps less each
// time.
Result<> with_some_room(const std::string& folder, const std::string& mine, const Crash& crash,
                        const std::function<Result<>()>& work) {
  const std::vector<std::string> dumps = other_dumps(folder, mine);
  for (auto dump = dumps.begin();; ++dump) {
    Result<> done = work();
    if (done || done.error().code != Errc::no_space || dump == dumps.end()) {
      return done;
    }
    free_dump(folder, *dump, crash);
  }
}

// `saved` stays, whatever the guest's clock had it named, and the newest of the others.
void keep_newest(const std::string& folder, const std::string& saved, const Crash& crash) {
  const std::vector<std::string> others = other_dumps(folder, saved);
  const std::size_t keep = crash.config.keep == 0 ? others.size() : crash.config.keep - 1;
  for (std::size_t i = 0; i + keep < others.size(); ++i) {
    remove_dump(others[i], crash.say);
  }
}

Result<std::string> new_dump_folder(const std::string& folder, const CrashReport& report) {
  const std::time_t time =
      report.crash_time ? static_cast<std::time_t>(*report.crash_time) : std::time(nullptr);
  const std::string first = folder + "/" + dump_time(time);
  for (unsigned number = 0; number < 100; ++number) {
    const std::string path = number == 0 ? first : fmt::format("{}.{}", first, number);
    if (::mkdir(path.c_str(), 0700) == 0) {
      return path;
    }
    if (errno != EEXIST) {
      return fail_errno(errno, path);
    }
  }
  return fail(Errc::exists, "{}: there are a hundred dumps of that second", first);
}

// `what` was saved in the end: "dmesg", "vmcore".
Result<> write_reasons(const std::string& folder, const CrashReport& report, std::string_view what,
                       const std::string& path) {
  const std::string reason = report.reason.empty() ? "kernel panic" : report.reason;
  TRY(write_text(folder + "/reboot-reason",
                 fmt::format("kernel panic, {} collected: {}: {}\n", what, path, reason)));
  TRY(write_text(folder + "/reboot-stack", report.stack.empty() ? report.dmesg : report.stack));
  return write_text(folder + "/boot-reason", "BootReasonKernel\n");
}

// Never over a file that is there.
Result<> rename_synced(const std::string& from, const std::string& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) != 0) {
    return fail_errno(errno, to);
  }
  return sync_folder_of(to);
}

// The name of a complete dump comes last: whatever happens before leaves "vmcore.incomplete".
Result<convert::Outcome> write_file(const std::string& partial, const std::string& final,
                                    const Crash& crash) {
  TRY_ASSIGN(const Fd file, create(partial, O_RDWR | O_EXCL));
  TRY_ASSIGN(const auto writer, formats::make_kdump_writer(file.get(), Codec::lzo, std::nullopt));
  auto outcome = write_dump(*writer, crash, [&] { ::fsync(file.get()); });
  if (!outcome) {
    static_cast<void>(::fsync(file.get()));  // what is there is worth having
    return in_context(std::move(outcome).error(), partial);
  }
  TRY(sync_fd(file.get(), partial));
  if (!outcome->incomplete) {
    TRY(rename_synced(partial, final));
  }
  return outcome;
}

// The folders of a capture kernel itself are gone at its reboot.
Result<> check_lasts(const std::string& folder) {
  struct statfs status {};
  if (::statfs(folder.c_str(), &status) != 0) {
    return fail_errno(errno, folder);
  }
  if (status.f_type == TMPFS_MAGIC || status.f_type == RAMFS_MAGIC) {
    return fail(Errc::unsupported,
                "{} is in memory, and gone at the reboot: name a device (file:DEVICE:/FOLDER), or "
                "mount one there",
                folder);
  }
  return {};
}

// The folder, made. In a file system that is mounted at `root` for it, the one above where that
// cannot be: a crash that lies too high is found, one that lies nowhere is not.
Result<std::string> usable_folder(const std::string& root, std::string folder, const Say& say) {
  for (;;) {
    const Result<> usable = make_folders(folder).and_then([&] { return check_lasts(folder); });
    if (usable) {
      return folder;
    }
    if (root.empty() || folder.size() <= root.size() || usable.error().code == Errc::no_space) {
      return tl::unexpected(usable.error());
    }
    say(fmt::format("the folder above has to do: {}", usable.error().message));
    folder.resize(folder.rfind('/'));
  }
}

// The texts of a dump, each on the disk before the next one is begun.
class Texts {
 public:
  Texts(const std::string& folder, const std::string& dump, const std::string& place,
        const Crash& crash)
      : folder_(folder), dump_(dump), log_(place + "/dmesg.txt"), crash_(crash) {}

  // First the log, whose newest lines tell of the crash: they are what stays of one that does not
  // fit.
  Result<> write() {
    constexpr std::size_t kLeast = 4096;
    std::string_view text = crash_.report.dmesg;
    Result<> done = with_some_room(folder_, dump_, crash_, [&] { return write_all(text); });
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
                               : "as much of the log as there is room for",
                           log_));
    if (!done) {
      crash_.say(done.error().message);
    }
    return {};
  }

 private:
  Result<> write_all(std::string_view log) {
    log_is_there_ = false;
    TRY(write_text(dump_ + "/dmesg.txt", log));
    TRY(sync_file_system(dump_));
    log_is_there_ = true;
    if (!crash_.config.tag.empty()) {
      TRY(write_text(dump_ + "/tag", crash_.config.tag + "\n"));
    }
    return write_reasons(folder_, crash_.report, "dmesg", log_);
  }

  const std::string& folder_;
  const std::string& dump_;
  std::string log_;  // as it is called when this is over
  const Crash& crash_;
  bool log_is_there_ = false;
};

// `root` is where the file system of the folder is mounted for it; empty where it was mounted
// already.
Result<Saved> save_in(const std::string& root, const std::string& wanted, const Crash& crash) {
  TRY_ASSIGN(const std::string folder,
             usable_folder(root, without_slash(root + wanted), crash.say));
  const std::string shown = folder.substr(root.size());
  std::string dump;
  TRY(with_some_room(folder, "", crash, [&]() -> Result<> {
    TRY_ASSIGN(dump, new_dump_folder(folder, crash.report));
    return {};
  }));
  const std::string place = shown + "/" + name_of(dump);
  TRY(Texts(folder, dump, place, crash).write());
  crash.beat();
  TRY(make_room(folder, dump, crash));
  TRY_ASSIGN(convert::Outcome outcome,
             write_file(dump + "/vmcore.incomplete", dump + "/vmcore", crash));
  const std::string file = place + (outcome.incomplete ? "/vmcore.incomplete" : "/vmcore");
  if (const Result<> told = write_reasons(folder, crash.report, "vmcore", file); !told) {
    crash.say(told.error().message);
  }
  keep_newest(folder, dump, crash);
  return Saved{file, std::move(outcome)};
}

class Mount {
 public:
  static Result<Mount> make(const FilePlace& place, const Say& say) {
    TRY_ASSIGN(const std::string path, find_device(place.device, kDeviceWait));
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
      say(fmt::format("{} has no subvolume {} any more: its default has to do", path,
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
    // A comma would begin another mount option.
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
                "this guest's memory is encrypted ({}), and its host reads its disks: a dump in a "
                "file system cannot be sealed, a stream can (target = raw or port, encrypt-to)",
                crash.encryption);
  }
  TRY_ASSIGN(const Mount mount, Mount::make(place, crash.say));
  return save_in(kMountPoint, place.folder, crash);
}

Result<Saved> save_to_file(const std::string& where, const Crash& crash) {
  if (::access(where.c_str(), F_OK) == 0) {
    return fail(Errc::exists, "{} is there already", where);
  }
  TRY_ASSIGN(convert::Outcome outcome, write_file(where + ".incomplete", where, crash));
  return Saved{outcome.incomplete ? where + ".incomplete" : where, std::move(outcome)};
}

}  // namespace vmcore::guest
