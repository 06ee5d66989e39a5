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

std::string without_slash(std::string folder) {
  folder.erase(folder.find_last_not_of('/') + 1);
  return folder;
}

std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// Oldest first.
std::vector<std::string> dumps_in(const std::string& folder) {
  std::vector<std::string> dumps;
  for (const std::string& name : names_in(folder)) {
    if (is_dump_time(name)) {
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

// Removes the oldest dumps until a new one has room; none where that would not do.
Result<> make_room(const std::string& folder, const Crash& crash) {
  const std::vector<std::string> dumps = dumps_in(folder);
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
    remove_dump(*dump, crash.say);
    TRY_ASSIGN(room, free_bytes(folder));
  }
  return {};
}

// `saved` stays, whatever the guest's clock had it named, and the newest of the others.
void keep_newest(const std::string& folder, const std::string& saved, const Crash& crash) {
  std::vector<std::string> others = dumps_in(folder);
  std::erase(others, saved);
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
  TRY_ASSIGN(const auto writer,
             formats::make_kdump_writer(file.get(), formats::Codec::lzo, std::nullopt));
  auto outcome = write_dump(*writer, crash);
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

// `shown` is what the folder is called when this is over, without a slash at its end.
Result<Saved> save_in(const std::string& folder, const std::string& shown, const Crash& crash) {
  TRY(make_folders(folder));
  TRY(check_lasts(folder));
  TRY(make_room(folder, crash));
  TRY_ASSIGN(const std::string dump, new_dump_folder(folder, crash.report));
  const std::string place = shown + "/" + name_of(dump);
  TRY(write_text(dump + "/dmesg.txt", crash.report.dmesg));
  if (!crash.config.tag.empty()) {
    TRY(write_text(dump + "/tag", crash.config.tag + "\n"));
  }
  TRY(write_reasons(folder, crash.report, "dmesg", place + "/dmesg.txt"));
  crash.beat();
  TRY_ASSIGN(convert::Outcome outcome,
             write_file(dump + "/vmcore.incomplete", dump + "/vmcore", crash));
  const std::string file = place + (outcome.incomplete ? "/vmcore.incomplete" : "/vmcore");
  TRY(write_reasons(folder, crash.report, "vmcore", file));
  keep_newest(folder, dump, crash);
  return Saved{file, std::move(outcome)};
}

class Mount {
 public:
  static Result<Mount> make(std::string_view device) {
    TRY_ASSIGN(const std::string path, find_device(device, kDeviceWait));
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) {
      return fail_errno(errno, path);
    }
    auto system = probe_file_system(fd.get());
    if (!system) {
      return in_context(std::move(system).error(), path);
    }
    TRY(make_folders(kMountPoint));
    if (::mount(path.c_str(), kMountPoint, system->type.c_str(), MS_NOSUID | MS_NODEV | MS_NOEXEC,
                nullptr) != 0) {
      return fail_errno(errno, fmt::format("mount {} ({}) on {}", path, system->type, kMountPoint));
    }
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
  TRY(check_device_name(place.device));
  return place;
}

Result<Saved> save_to_folder(const std::string& where, const Crash& crash) {
  TRY_ASSIGN(const FilePlace place, parse_file_place(where));
  const std::string shown = without_slash(place.folder);
  if (place.device.empty()) {
    return save_in(place.folder, shown, crash);
  }
  if (!crash.encryption.empty()) {
    return fail(Errc::denied,
                "this guest's memory is encrypted ({}), and its host reads its disks: a dump in a "
                "file system cannot be sealed, a stream can (target = raw or port, encrypt-to)",
                crash.encryption);
  }
  TRY_ASSIGN(const Mount mount, Mount::make(place.device));
  return save_in(kMountPoint + shown, shown, crash);
}

Result<Saved> save_to_file(const std::string& where, const Crash& crash) {
  if (::access(where.c_str(), F_OK) == 0) {
    return fail(Errc::exists, "{} is there already", where);
  }
  TRY_ASSIGN(convert::Outcome outcome, write_file(where + ".incomplete", where, crash));
  return Saved{outcome.incomplete ? where + ".incomplete" : where, std::move(outcome)};
}

}  // namespace vmcore::guest
