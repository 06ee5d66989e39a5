// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/staging/staged_file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

#include "src/base/sys.h"
#include "src/staging/destination.h"

namespace vmcore::staging {
namespace {

// Linux refuses O_TMPFILE with one of these on file systems that do not have it (open(2)).
bool no_tmpfile(int error_number) {
  return error_number == EOPNOTSUPP || error_number == EISDIR || error_number == ENOENT;
}

// If it fails, errno says why.
Fd open_unnamed(int folder) {
  return Fd(::openat(folder, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
}

int name_unnamed(const Fd& file, int folder, const std::string& name) {
  return ::linkat(AT_FDCWD, fmt::format("/proc/self/fd/{}", file.get()).c_str(), folder,
                  name.c_str(), AT_SYMLINK_FOLLOW);
}

// Asked with an empty file, before anything is written: AppArmor takes a file without a name for a
// deleted one, and refuses it a name with ENOENT, in complain mode, too (v6.1, aa_path_name(),
// unless the profile has the flag mediate_deleted).
bool may_be_named(int folder) {
  const Fd empty = open_unnamed(folder);
  if (!empty) {
    return true;  // the file system is full, for one: as far as is known
  }
  const std::string name = fmt::format(".vmcorectl-{}-{}", ::getpid(), empty.get());
  if (name_unnamed(empty, folder, name) != 0) {
    return errno == EEXIST;
  }
  ::unlinkat(folder, name.c_str(), 0);
  return true;
}

struct Staged {
  Fd file;
  std::string name;  // empty where it has none
};

Result<Staged> open_hidden(const std::filesystem::path& folder, int folder_fd) {
  std::string path = fmt::format("/proc/self/fd/{}/.vmcorectl-XXXXXX", folder_fd);
  Fd file(::mkostemp(path.data(), O_CLOEXEC));  // mode 0600
  if (!file) {
    return fail_errno(errno, folder.string());
  }
  return Staged{std::move(file), std::filesystem::path(path).filename().string()};
}

// `to_be_named`: it is to get a name later.
Result<Staged> open_staged(const std::filesystem::path& folder, int folder_fd, bool to_be_named) {
  Fd file = open_unnamed(folder_fd);
  if (!file && !no_tmpfile(errno)) {
    return fail_errno(errno, folder.string());
  }
  if (file && (!to_be_named || may_be_named(folder_fd))) {
    return Staged{std::move(file), ""};
  }
  return open_hidden(folder, folder_fd);
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
  TRY_ASSIGN(Destination found, find_destination(target));
  if (found.kind != Destination::Kind::file) {
    return fail(Errc::invalid, "{} is a FIFO or a descriptor: give the name of a file",
                target.string());
  }
  if (found.exists && !replace) {
    return fail(Errc::exists, "{} exists already: give another name, or --force to replace it",
                found.path.string());
  }
  const std::filesystem::path folder =
      found.path.has_parent_path() ? found.path.parent_path() : std::filesystem::path(".");
  TRY_ASSIGN(Staged staged, open_staged(folder, found.folder.get(), true));
  return StagedFile(std::move(staged.file), std::move(found.folder), std::move(found.path),
                    std::move(staged.name), replace);
}

StagedFile::~StagedFile() {
  if (file_ && !hidden_name_.empty()) {
    ::unlinkat(folder_.get(), hidden_name_.c_str(), 0);
  }
}

Result<> StagedFile::link(const std::string& name) const {
  const int linked = hidden_name_.empty() ? name_unnamed(file_, folder_.get(), name)
                                          : ::linkat(folder_.get(), hidden_name_.c_str(),
                                                     folder_.get(), name.c_str(), 0);
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
  if (Result<> synced = sys::sync(file_.get()); !synced) {
    return in_context(std::move(synced).error(), target_.string());
  }
  return {};
}

// Atomic too: under a passing name, then renamed over the old file.
Result<> StagedFile::replace(const std::string& name) const {
  struct stat existing {};
  if (::fstatat(folder_.get(), name.c_str(), &existing, AT_SYMLINK_NOFOLLOW) == 0 &&
      !S_ISREG(existing.st_mode)) {
    return fail(Errc::exists, "{} was replaced meanwhile and is not a regular file any more",
                path_of(name).string());
  }
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

// What fails now takes nothing away any more.
Kept StagedFile::named(const std::string& name) const {
  Kept kept{.path = path_of(name)};
  if (const Result<> synced = sys::sync(folder_.get()); !synced) {
    kept.doubt = Remark{synced.error().code,
                        fmt::format("{} is complete, but its name may not survive a power cut: "
                                    "its folder: {}",
                                    kept.path.string(), synced.error().message)};
  }
  return kept;
}

Result<Kept> StagedFile::commit() {
  const std::string name = target_.filename().string();
  TRY(sync());
  Result<> linked = link(name);
  if (!linked && linked.error().code == Errc::exists && replace_) {
    linked = replace(name);
  }
  TRY(linked);
  return named(name);
}

Result<Kept> StagedFile::commit_aside(const std::string& suffix) {
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
  TRY_ASSIGN(Staged staged, open_staged(folder, folder_fd.get(), false));
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

}  // namespace vmcore::staging
