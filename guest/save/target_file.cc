// file: a folder that keeps the newest dumps, each in a folder of its own, named by the time of the
// crash. Beside those stand the files by which EVE-OS tells why it booted (lf-edge/eve,
// pkg/kdump/kdump.sh): reboot-reason, reboot-stack, boot-reason.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <vector>

#include "guest/save/block_device.h"
#include "guest/save/dump_time.h"
#include "guest/save/target.h"
#include "src/base/fd.h"
#include "src/base/sys.h"

namespace vmcore::guest {
namespace {

namespace fs = std::filesystem;

constexpr const char* kMountPoint = "/mnt/vmcore";
constexpr std::chrono::seconds kDeviceWait{10};
constexpr std::array kFilesOfDump = {"vmcore", "vmcore.incomplete", "dmesg.txt"};

Result<Fd> create(const fs::path& path, int flags) {
  Fd file(::open(path.c_str(), O_CREAT | O_CLOEXEC | O_NOFOLLOW | flags, 0600));
  if (!file) {
    return fail_errno(errno, path.string());
  }
  return file;
}

Result<> sync_fd(int fd, const fs::path& path) {
  if (::fsync(fd) != 0) {
    return fail_errno(errno, path.string());
  }
  return {};
}

Result<> write_text(const fs::path& path, std::string_view text) {
  TRY_ASSIGN(const Fd file, create(path, O_WRONLY | O_TRUNC));
  if (auto written = sys::write_full(file.get(), std::as_bytes(std::span(text))); !written) {
    return in_context(std::move(written).error(), path.string());
  }
  return sync_fd(file.get(), path);
}

// Oldest first.
std::vector<fs::path> dumps_in(const fs::path& folder) {
  std::vector<fs::path> dumps;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (is_dump_time(it->path().filename().native())) {
      dumps.push_back(it->path());
    }
  }
  std::ranges::sort(dumps);
  return dumps;
}

// What somebody else put beside a dump stays, and with it the folder.
void remove_dump(const fs::path& dump, const Say& say) {
  std::error_code ignored;
  for (const char* name : kFilesOfDump) {
    fs::remove(dump / name, ignored);
  }
  fs::remove(dump, ignored);
  say(fmt::format("removed the older dump {}", dump.string()));
}

Result<std::uint64_t> free_bytes(const fs::path& folder) {
  struct statvfs status {};
  if (::statvfs(folder.c_str(), &status) != 0) {
    return fail_errno(errno, folder.string());
  }
  return std::uint64_t{status.f_bavail} * status.f_frsize;
}

// Bytes that removing it would free.
std::uint64_t size_of_dump(const fs::path& dump) {
  std::uint64_t bytes = 0;
  for (const char* name : kFilesOfDump) {
    struct stat status {};
    if (::stat((dump / name).c_str(), &status) == 0) {
      bytes += static_cast<std::uint64_t>(status.st_blocks) * 512;
    }
  }
  return bytes;
}

// Removes the oldest dumps until a new one has room; none where that would not do.
Result<> make_room(const fs::path& folder, const Crash& crash) {
  const std::vector<fs::path> dumps = dumps_in(folder);
  const std::uint64_t wanted = room_wanted(crash.image);
  TRY_ASSIGN(std::uint64_t room, free_bytes(folder));
  std::uint64_t most = room;
  for (const fs::path& dump : dumps) {
    most += size_of_dump(dump);
  }
  if (most < wanted) {
    return fail(Errc::no_space, "{} has {} MiB free, and a dump may need {} MiB", folder.string(),
                room >> 20, wanted >> 20);
  }
  for (auto dump = dumps.begin(); room < wanted && dump != dumps.end(); ++dump) {
    remove_dump(*dump, crash.say);
    TRY_ASSIGN(room, free_bytes(folder));
  }
  return {};
}

// `saved` stays, whatever the guest's clock had it named, and the newest of the others.
void keep_newest(const fs::path& folder, const fs::path& saved, const Crash& crash) {
  std::vector<fs::path> others = dumps_in(folder);
  std::erase(others, saved);
  const std::size_t keep = crash.config.keep == 0 ? others.size() : crash.config.keep - 1;
  for (std::size_t i = 0; i + keep < others.size(); ++i) {
    remove_dump(others[i], crash.say);
  }
}

Result<fs::path> new_dump_folder(const fs::path& folder, const CrashReport& report) {
  const std::time_t time =
      report.crash_time ? static_cast<std::time_t>(*report.crash_time) : std::time(nullptr);
  const std::string name = dump_time(time);
  for (unsigned number = 0; number < 100; ++number) {
    const fs::path path = folder / (number == 0 ? name : fmt::format("{}.{}", name, number));
    if (::mkdir(path.c_str(), 0700) == 0) {
      return path;
    }
    if (errno != EEXIST) {
      return fail_errno(errno, path.string());
    }
  }
  return fail(Errc::exists, "{}: there are a hundred dumps of that second", name);
}

// `what` was saved in the end: "dmesg", "vmcore".
Result<> write_reasons(const fs::path& folder, const CrashReport& report, std::string_view what,
                       const fs::path& path) {
  const std::string reason = report.reason.empty() ? "kernel panic" : report.reason;
  TRY(write_text(folder / "reboot-reason",
                 fmt::format("kernel panic, {} collected: {}: {}\n", what, path.string(), reason)));
  TRY(write_text(folder / "reboot-stack", report.stack.empty() ? report.dmesg : report.stack));
  return write_text(folder / "boot-reason", "BootReasonKernel\n");
}

// Never over a file that is there.
Result<> rename_synced(const fs::path& from, const fs::path& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) != 0) {
    return fail_errno(errno, to.string());
  }
  const fs::path parent = to.has_parent_path() ? to.parent_path() : ".";
  const Fd folder(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return sync_fd(folder.get(), parent);
}

// The name of a complete dump comes last: whatever happens before leaves "vmcore.incomplete".
Result<convert::Outcome> write_file(const fs::path& partial, const fs::path& final,
                                    const Crash& crash) {
  TRY_ASSIGN(const Fd file, create(partial, O_RDWR | O_EXCL));
  TRY_ASSIGN(const auto writer,
             formats::make_kdump_writer(file.get(), formats::Codec::lzo, std::nullopt));
  auto outcome = write_dump(*writer, crash);
  if (!outcome) {
    static_cast<void>(::fsync(file.get()));  // what is there is worth having
    return in_context(std::move(outcome).error(), partial.string());
  }
  TRY(sync_fd(file.get(), partial));
  if (!outcome->incomplete) {
    TRY(rename_synced(partial, final));
  }
  return outcome;
}

// `shown` is what the folder is called when this is over.
Result<Saved> save_in(const fs::path& folder, const fs::path& shown, const Crash& crash) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) {
    return fail_errno(error.value(), folder.string());
  }
  TRY(make_room(folder, crash));
  TRY_ASSIGN(const fs::path dump, new_dump_folder(folder, crash.report));
  const fs::path place = shown / dump.filename();
  TRY(write_text(dump / "dmesg.txt", crash.report.dmesg));
  TRY(write_reasons(folder, crash.report, "dmesg", place / "dmesg.txt"));
  crash.beat();
  TRY_ASSIGN(convert::Outcome outcome,
             write_file(dump / "vmcore.incomplete", dump / "vmcore", crash));
  const fs::path file = place / (outcome.incomplete ? "vmcore.incomplete" : "vmcore");
  TRY(write_reasons(folder, crash.report, "vmcore", file));
  keep_newest(folder, dump, crash);
  return Saved{file.string(), std::move(outcome)};
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
    std::error_code ignored;
    fs::create_directories(kMountPoint, ignored);
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

Result<Saved> save_to_folder(const std::string& where, const Crash& crash) {
  if (where.starts_with('/') && where.find(":/") == std::string::npos) {
    return save_in(where, where, crash);
  }
  const std::size_t colon = where.rfind(":/");
  if (colon == std::string::npos) {
    return fail(Errc::invalid, "\"{}\" is not DEVICE:/FOLDER", where);
  }
  TRY_ASSIGN(const Mount mount, Mount::make(where.substr(0, colon)));
  const std::string folder = where.substr(colon + 1);
  return save_in(kMountPoint + folder, folder, crash);
}

Result<Saved> save_to_file(const std::string& where, const Crash& crash) {
  const fs::path final = where;
  std::error_code ignored;
  if (fs::exists(final, ignored)) {
    return fail(Errc::exists, "{} is there already", where);
  }
  TRY_ASSIGN(convert::Outcome outcome, write_file(where + ".incomplete", final, crash));
  return Saved{outcome.incomplete ? where + ".incomplete" : where, std::move(outcome)};
}

}  // namespace vmcore::guest
