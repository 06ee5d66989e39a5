// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/staging/staged_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <span>
#include <utility>

#include "src/base/sync.h"
#include "src/base/sys.h"

namespace vmcore::staging {
namespace {

constexpr mode_t kPrivate = 0700;

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};

// FIFOs and devices are not waited for, and not opened for what they do.
Result<Fd> open_to_sync(int folder, const std::string& name, const std::string& where) {
  Fd file(::openat(folder, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  return file ? Result<Fd>(std::move(file)) : fail_errno(errno, where + "/" + name);
}

// Its contents and name are synced only if that is wanted: then an old file of that name survives
// a power cut until the new one does.
Result<> put_file_at(int folder, const std::string& name, std::string_view text, mode_t mode,
                     bool synced) {
  const std::string passing = "." + name + ".new";
  ::unlinkat(folder, passing.c_str(), 0);  // of a program that was killed right here
  const Fd file(::openat(folder, passing.c_str(),
                         O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file) {
    return fail_errno(errno, name);
  }
  const auto finish = [&]() -> Result<> {
    TRY(sys::write_full(file.get(), std::as_bytes(std::span(text))));
    if (synced) {
      TRY(sys::sync(file.get()));
    }
    if (::fchmod(file.get(), mode) != 0 ||
        ::renameat(folder, passing.c_str(), folder, name.c_str()) != 0) {
      return fail_errno(errno, "rename");
    }
    return synced ? sys::sync(folder) : Result<>();
  };
  Result<> finished = finish();
  if (!finished) {
    ::unlinkat(folder, passing.c_str(), 0);
    return in_context(std::move(finished).error(), name);
  }
  return {};
}

}  // namespace

Result<Fd> open_folder_at(int parent, const std::string& name, const std::string& where) {
  Fd folder(::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!folder && (errno == ENOTDIR || errno == ELOOP)) {
    return fail(Errc::malformed, "{}/{} is not a folder", where, name);
  }
  if (!folder) {
    return fail_errno(errno, where + "/" + name);
  }
  return folder;
}

Result<std::vector<std::string>> names_in(int folder, const std::string& where) {
  // A description of its own: reading moves the position.
  Fd own(::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!own) {
    return fail_errno(errno, where);
  }
  const std::unique_ptr<DIR, CloseFolder> open(::fdopendir(own.get()));
  if (!open) {
    return fail_errno(errno, where);
  }
  static_cast<void>(own.release());
  std::vector<std::string> names;
  for (errno = 0; const dirent* entry = ::readdir(open.get()); errno = 0) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") {
      names.push_back(name);
    }
  }
  if (errno != 0) {
    return fail_errno(errno, where);
  }
  return names;
}

Result<StagedFolder> StagedFolder::create(int parent, std::string hidden_name, std::string where) {
  if (::mkdirat(parent, hidden_name.c_str(), kPrivate) != 0) {
    const int error_number = errno;
    return fail_errno(error_number, where + "/" + hidden_name);
  }
  return adopt(parent, std::move(hidden_name), std::move(where));
}

Result<StagedFolder> StagedFolder::adopt(int parent, std::string hidden_name, std::string where) {
  TRY_ASSIGN(Fd folder, open_folder_at(parent, hidden_name, where));
  TRY_ASSIGN(Fd own_parent, duplicate(parent));
  return StagedFolder(std::move(own_parent), std::move(folder), std::move(hidden_name),
                      std::move(where));
}

StagedFolder::~StagedFolder() {
  if (folder_ && !committed_) {
    static_cast<void>(remove_folder_at(parent_.get(), name_, where_));
  }
}

// All files are on their way to the disk before the first one is waited for: a file system that
// journals then commits once, and not once for each file.
Result<> StagedFolder::sync() const {
  TRY_ASSIGN(const std::vector<std::string> names, names_in(fd(), path()));
  std::vector<Fd> files;
  for (const std::string& name : names) {
    TRY_ASSIGN(Fd file, open_to_sync(fd(), name, path()));
    static_cast<void>(::sync_file_range(file.get(), 0, 0, SYNC_FILE_RANGE_WRITE));
    files.push_back(std::move(file));
  }
  for (std::size_t i = 0; i < files.size(); ++i) {
    TRY(sync_fd(files[i].get(), path() + "/" + names[i]));
  }
  return sync_fd(fd(), path());
}

Result<std::optional<Remark>> StagedFolder::commit(const std::string& name, mode_t mode) {
  TRY(sync());
  struct stat status {};
  // The bit that hands the group down to what is made in it stays as it was inherited.
  if (::fstat(fd(), &status) != 0 || ::fchmod(fd(), mode | (status.st_mode & S_ISGID)) != 0) {
    return fail_errno(errno, path());
  }
  if (::renameat2(parent_.get(), name_.c_str(), parent_.get(), name.c_str(), RENAME_NOREPLACE) !=
      0) {
    const int error_number = errno;
    return fail_errno(error_number, where_ + "/" + name);
  }
  committed_ = true;
  name_ = name;
  if (const Result<> synced = sync_fd(parent_.get(), where_); !synced) {
    return Remark{synced.error().code,
                  fmt::format("{} is complete, but its name may not survive a power cut: {}",
                              path(), synced.error().message)};
  }
  return std::nullopt;
}

Result<> write_file_at(int folder, const std::string& name, std::string_view text, mode_t mode) {
  return put_file_at(folder, name, text, mode, true);
}

Result<> add_file_at(int folder, const std::string& name, std::string_view text, mode_t mode) {
  return put_file_at(folder, name, text, mode, false);
}

Result<> remove_folder_at(int parent, const std::string& name, const std::string& where) {
  TRY_ASSIGN(const Fd folder, open_folder_at(parent, name, where));
  const std::string path = where + "/" + name;
  TRY_ASSIGN(const std::vector<std::string> files, names_in(folder.get(), path));
  for (const std::string& file : files) {
    if (::unlinkat(folder.get(), file.c_str(), 0) != 0 && errno != ENOENT) {
      return fail_errno(errno, path + "/" + file);
    }
  }
  if (::unlinkat(parent, name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) {
    return fail_errno(errno, path);
  }
  return {};
}

}  // namespace vmcore::staging
