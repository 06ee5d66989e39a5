#include "src/store/staged_file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

namespace vmcore::store {
namespace {

std::filesystem::path folder_of(const std::filesystem::path& target) {
  return target.has_parent_path() ? target.parent_path() : std::filesystem::path(".");
}

// Linux refuses O_TMPFILE with one of these on file systems that do not have it (open(2)).
bool no_tmpfile(int error_number) {
  return error_number == EOPNOTSUPP || error_number == EISDIR || error_number == ENOENT;
}

struct Staged {
  Fd file;
  std::string name;  // empty where it has none
};

Result<Staged> open_staged(const std::filesystem::path& folder, int folder_fd) {
  Fd file(::openat(folder_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (file) {
    return Staged{std::move(file), ""};
  }
  if (!no_tmpfile(errno)) {
    return fail_errno(errno, folder.string());
  }
  std::string path = (folder / ".vmcorectl-XXXXXX").string();
  file = Fd(::mkostemp(path.data(), O_CLOEXEC));  // mode 0600
  if (!file) {
    return fail_errno(errno, folder.string());
  }
  return Staged{std::move(file), std::filesystem::path(path).filename().string()};
}

Result<Fd> open_folder(const std::filesystem::path& folder) {
  Fd fd(::open(folder.c_str(), O_DIRECTORY | O_RDONLY | O_CLOEXEC));
  if (!fd) {
    return fail_errno(errno, folder.string());
  }
  return fd;
}

}  // namespace

Result<StagedFile> StagedFile::create(const std::filesystem::path& target, bool replace) {
  if (!target.has_filename()) {
    return fail(Errc::invalid, "{} names no file", target.string());
  }
  struct stat existing {};
  if (::lstat(target.c_str(), &existing) == 0) {
    if (S_ISDIR(existing.st_mode)) {
      return fail(Errc::invalid, "{} is a folder: give the name of a file", target.string());
    }
    // Replacing /dev/null by a file would be worse than any error.
    if (!S_ISREG(existing.st_mode) && !S_ISLNK(existing.st_mode)) {
      return fail(Errc::invalid,
                  "{} is a device, FIFO or socket: give the name of a file, or - for "
                  "standard output",
                  target.string());
    }
    if (!replace) {
      return fail(Errc::exists, "{} exists already: give another name, or --force to replace it",
                  target.string());
    }
  }
  const std::filesystem::path folder = folder_of(target);
  TRY_ASSIGN(Fd folder_fd, open_folder(folder));
  TRY_ASSIGN(Staged staged, open_staged(folder, folder_fd.get()));
  return StagedFile(std::move(staged.file), std::move(folder_fd), target, std::move(staged.name),
                    replace);
}

StagedFile::~StagedFile() {
  if (file_ && !hidden_name_.empty()) {
    ::unlinkat(folder_.get(), hidden_name_.c_str(), 0);
  }
}

Result<> StagedFile::link(const std::string& name) const {
  const int linked =
      hidden_name_.empty()
          ? ::linkat(AT_FDCWD, fmt::format("/proc/self/fd/{}", file_.get()).c_str(), folder_.get(),
                     name.c_str(), AT_SYMLINK_FOLLOW)
          : ::linkat(folder_.get(), hidden_name_.c_str(), folder_.get(), name.c_str(), 0);
  if (linked != 0 && errno == EEXIST) {
    return fail(Errc::exists, "{} exists already: move it away, or --force to replace it",
                path_of(name).string());
  }
  if (linked != 0) {
    return fail_errno(errno, path_of(name).string());
  }
  return {};
}

Result<> StagedFile::sync() const {
  if (::fsync(file_.get()) != 0) {
    return fail_errno(errno, target_.string() + ": sync");
  }
  return {};
}

// Atomic too: under a passing name, then renamed over the old file.
Result<> StagedFile::replace(const std::string& name) const {
  const std::string passing = fmt::format(".vmcorectl-{}", ::getpid());
  ::unlinkat(folder_.get(), passing.c_str(), 0);  // of a process that was killed right here
  TRY(link(passing));
  if (::renameat(folder_.get(), passing.c_str(), folder_.get(), name.c_str()) != 0) {
    const int error_number = errno;
    ::unlinkat(folder_.get(), passing.c_str(), 0);
    return fail_errno(error_number, path_of(name).string());
  }
  return {};
}

Result<std::filesystem::path> StagedFile::named(const std::string& name) const {
  if (::fsync(folder_.get()) != 0) {
    return fail_errno(errno, path_of(name).string() + ": sync of its folder");
  }
  return path_of(name);
}

Result<std::filesystem::path> StagedFile::commit() {
  const std::string name = target_.filename().string();
  TRY(sync());
  Result<> linked = link(name);
  if (!linked && linked.error().code == Errc::exists && replace_) {
    linked = replace(name);
  }
  TRY(linked);
  return named(name);
}

Result<std::filesystem::path> StagedFile::commit_aside(const std::string& suffix) {
  constexpr unsigned kMost = 99;
  const std::string first = target_.filename().string() + suffix;
  TRY(sync());
  std::string name = first;
  Result<> linked = link(name);
  for (unsigned i = 1; i <= kMost && !linked && linked.error().code == Errc::exists; ++i) {
    name = fmt::format("{}.{}", first, i);
    linked = link(name);
  }
  if (!linked && linked.error().code == Errc::exists) {
    return fail(Errc::exists, "{} to .{} exist already: move them away", path_of(first).string(),
                kMost);
  }
  TRY(linked);
  return named(name);
}

std::filesystem::path StagedFile::path_of(const std::string& name) const {
  std::filesystem::path path = target_;
  return path.replace_filename(name);
}

Result<Fd> create_unlinked(const std::filesystem::path& folder) {
  TRY_ASSIGN(const Fd folder_fd, open_folder(folder));
  TRY_ASSIGN(Staged staged, open_staged(folder, folder_fd.get()));
  if (!staged.name.empty() && ::unlinkat(folder_fd.get(), staged.name.c_str(), 0) != 0) {
    return fail_errno(errno, staged.name);
  }
  return std::move(staged.file);
}

Result<std::uint64_t> free_space(const std::filesystem::path& folder) {
  struct statvfs status {};
  if (::statvfs(folder.c_str(), &status) != 0) {
    return fail_errno(errno, folder.string());
  }
  return static_cast<std::uint64_t>(status.f_bavail) * status.f_frsize;
}

}  // namespace vmcore::store
