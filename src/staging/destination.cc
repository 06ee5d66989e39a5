// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/staging/destination.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <optional>
#include <utility>

#include "src/base/number.h"

namespace vmcore::staging {
namespace {

namespace fs = std::filesystem;

constexpr int kMostLinks = 40;  // as Linux has it: path_resolution(7)

// How messages call it.
std::string shown(const fs::path& target, const fs::path& path) {
  return target == path ? target.string()
                        : fmt::format("{} (a link to {})", target.string(), path.string());
}

Result<struct stat> stat_of(int fd, const fs::path& path) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) {
    return fail_errno(errno, path.string());
  }
  return status;
}

// Of a link that is open by O_PATH.
Result<fs::path> read_link(int link, const fs::path& path) {
  std::array<char, PATH_MAX> text{};
  const ssize_t size = ::readlinkat(link, "", text.data(), text.size());
  if (size <= 0) {
    return fail_errno(size < 0 ? errno : ENOENT, path.string());
  }
  return fs::path(std::string(text.data(), static_cast<std::size_t>(size)));
}

Result<> check_may_be_followed(const struct stat& link, int folder, const fs::path& path) {
  TRY_ASSIGN(const struct stat in, stat_of(folder, path));
  const bool anybody_may = (in.st_mode & S_ISVTX) != 0 && (in.st_mode & S_IWOTH) != 0;
  if (anybody_may && link.st_uid != ::geteuid() && link.st_uid != in.st_uid) {
    return fail(Errc::denied,
                "{} is a link that another user (uid {}) made in a folder where everybody may "
                "write: remove it, or give the file that it leads to",
                path.string(), link.st_uid);
  }
  return {};
}

// No file is made there, and links lead to what is open, wherever their text seems to lead.
bool is_in_proc(int folder) {
  struct statfs status {};
  return ::fstatfs(folder, &status) == 0 && status.f_type == PROC_SUPER_MAGIC;
}

// The number of the descriptor of this process that the link in that folder of procfs is.
std::optional<int> own_descriptor(int folder, const std::string& name) {
  struct stat here {};
  struct stat own {};
  const auto number = parse_number<int>(name);
  const bool is_own = ::fstat(folder, &here) == 0 && ::stat("/proc/self/fd", &own) == 0 &&
                      here.st_dev == own.st_dev && here.st_ino == own.st_ino;
  if (!is_own || !number || *number < 0) {
    return std::nullopt;
  }
  return number;
}

Result<Destination> take_descriptor(const fs::path& target, int folder, const std::string& name) {
  const std::optional<int> number = own_descriptor(folder, name);
  const int flags = number ? ::fcntl(*number, F_GETFD) : -1;
  // Those that we opened ourselves close with exec.
  if (flags < 0 || (flags & FD_CLOEXEC) != 0) {
    return fail(Errc::invalid,
                "{} is not a descriptor that this program was started with: give the name of a "
                "file, or - for standard output",
                target.string());
  }
  if (*number == STDERR_FILENO) {
    return fail(Errc::invalid, "{} is for messages: give the name of a file", target.string());
  }
  if ((::fcntl(*number, F_GETFL) & O_ACCMODE) == O_RDONLY) {
    return fail(Errc::invalid, "{} is not open for writing", target.string());
  }
  Destination destination{.kind = Destination::Kind::descriptor,
                          .path = target,
                          .folder = Fd(),
                          .name = {},
                          .stream = Fd(::fcntl(*number, F_DUPFD_CLOEXEC, 0))};
  if (!destination.stream) {
    return fail_errno(errno, target.string());
  }
  return destination;
}

Result<Destination> take_file(Destination found, const fs::path& target, Fd file, mode_t mode) {
  if (S_ISDIR(mode)) {
    return fail(Errc::invalid, "{} is a folder: give the name of a file",
                shown(target, found.path));
  }
  if (S_ISFIFO(mode)) {
    found.kind = Destination::Kind::fifo;
    found.stream = std::move(file);
    return found;
  }
  // Replacing /dev/null by a file would be worse than any error.
  if (!S_ISREG(mode)) {
    return fail(Errc::invalid,
                "{} is a device or socket: give the name of a file, or - for standard output",
                shown(target, found.path));
  }
  found.exists = true;
  return found;
}

Result<Fd> open_folder(int base, const fs::path& piece, const fs::path& path) {
  const fs::path folder = piece.has_parent_path() ? piece.parent_path() : fs::path(".");
  Fd fd(::openat(base, folder.c_str(), O_DIRECTORY | O_RDONLY | O_CLOEXEC));
  if (!fd) {
    const int error_number = errno;
    return fail_errno(error_number, path.has_parent_path() ? path.parent_path().string() : ".");
  }
  return fd;
}

}  // namespace

Result<Destination> find_destination(const fs::path& target) {
  Destination found{.path = target, .folder = Fd(), .name = {}, .stream = Fd()};
  fs::path piece = target;  // what is still to be gone, from the folder that is open
  for (int links = 0; links <= kMostLinks; ++links) {
    if (!piece.has_filename()) {
      return fail(Errc::invalid, "{} does not name a file", shown(target, found.path));
    }
    const int base = found.folder ? found.folder.get() : AT_FDCWD;
    TRY_ASSIGN(Fd folder, open_folder(base, piece, found.path));
    found.folder = std::move(folder);
    found.name = piece.filename().string();
    if (is_in_proc(found.folder.get())) {
      return take_descriptor(target, found.folder.get(), found.name);
    }
    Fd file(::openat(found.folder.get(), found.name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (!file && errno == ENOENT) {
      return found;
    }
    if (!file) {
      return fail_errno(errno, found.path.string());
    }
    TRY_ASSIGN(const struct stat status, stat_of(file.get(), found.path));
    if (!S_ISLNK(status.st_mode)) {
      return take_file(std::move(found), target, std::move(file), status.st_mode);
    }
    TRY(check_may_be_followed(status, found.folder.get(), found.path));
    TRY_ASSIGN(piece, read_link(file.get(), found.path));
    found.path = found.path.parent_path() / piece;  // all of it, where it begins with a slash
  }
  return fail_errno(ELOOP, target.string());
}

Result<Fd> open_stream(Destination destination) {
  if (destination.kind == Destination::Kind::descriptor) {
    return std::move(destination.stream);
  }
  const std::string self = fmt::format("/proc/self/fd/{}", destination.stream.get());
  Fd fifo(::open(self.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
  if (!fifo && errno == ENXIO) {
    return fail(Errc::invalid, "the FIFO {} has no reader: start the reader first",
                destination.path.string());
  }
  if (!fifo || ::fcntl(fifo.get(), F_SETFL, O_WRONLY) != 0) {
    return fail_errno(errno, destination.path.string());
  }
  return fifo;
}

bool is_standard_output(const fs::path& target) {
  // A name whose last part is no link is none, and is told without a look at what it is.
  const auto found = find_destination(target);
  if (!found || found->kind != Destination::Kind::descriptor) {
    return false;
  }
  struct stat it {};
  struct stat output {};
  return ::fstat(found->stream.get(), &it) == 0 && ::fstat(STDOUT_FILENO, &output) == 0 &&
         it.st_dev == output.st_dev && it.st_ino == output.st_ino;
}

}  // namespace vmcore::staging
