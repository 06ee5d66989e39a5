// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/root/node.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>

#include "src/base/sys.h"

namespace vmcore::guest::root {
namespace {

constexpr const char* kLabel = "security.selinux";

std::string name_of(std::string_view path) { return std::string(path.substr(path.rfind('/') + 1)); }

Result<Fd> open_parent(const Root& root, std::string_view path) {
  return root.open(parent_of(path), O_RDONLY | O_DIRECTORY);
}

tl::unexpected<Error> fail_other_kind(std::string_view path) {
  return fail(Errc::unsupported, "{} is neither a file nor a link", path);
}

// A rename or unlink would take away a device, a pipe or a socket without a word.
Result<> check_replaceable(const Fd& folder, const std::string& name, std::string_view path) {
  struct stat status {};
  if (::fstatat(folder.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    return errno == ENOENT ? Result<>() : fail_errno(errno, path);
  }
  return S_ISREG(status.st_mode) || S_ISLNK(status.st_mode) ? Result<>() : fail_other_kind(path);
}

Result<std::string> read_link(int fd, std::string_view path) {
  std::array<char, 4096> target{};
  const ssize_t length = ::readlinkat(fd, "", target.data(), target.size());
  if (length < 0) {
    return fail_errno(errno, path);
  }
  return std::string(target.data(), static_cast<std::size_t>(length));
}

// Copies the owner and the SELinux label. Without the right to set them, the new file keeps its
// own.
Result<> take_over(const Root& root, std::string_view path, int fd) {
  const auto old = root.open(path, O_RDONLY | O_NOFOLLOW);
  struct stat status {};
  if (!old || ::fstat(old->get(), &status) != 0) {
    return {};
  }
  if (::fchown(fd, status.st_uid, status.st_gid) != 0 && errno != EPERM) {
    return fail_errno(errno, path);
  }
  std::array<char, 1024> label{};
  const ssize_t length = ::fgetxattr(old->get(), kLabel, label.data(), label.size());
  if (length > 0) {
    static_cast<void>(::fsetxattr(fd, kLabel, label.data(), static_cast<std::size_t>(length), 0));
  }
  return {};
}

Result<> write_file(const Root& root, std::string_view path, const Node& node,
                    const std::string& temporary) {
  TRY_ASSIGN(const Fd fd, root.open(parent_of(path) + "/" + temporary,
                                    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  TRY(sys::write_full(fd.get(), std::as_bytes(std::span(node.content))));
  TRY(take_over(root, path, fd.get()));
  if (::fchmod(fd.get(), node.mode) != 0 || ::fsync(fd.get()) != 0) {
    return fail_errno(errno, path);
  }
  return {};
}

}  // namespace

Node file_node(std::string content, unsigned mode) {
  return {.kind = Node::Kind::file, .content = std::move(content), .mode = mode};
}

Node link_node(std::string target) {
  return {.kind = Node::Kind::link, .content = std::move(target), .mode = 0};
}

std::string parent_of(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == 0 || slash == std::string_view::npos ? "/" : std::string(path.substr(0, slash));
}

Result<std::optional<Node>> read_node(const Root& root, std::string_view path) {
  const auto fd = root.open(path, O_PATH | O_NOFOLLOW);
  if (!fd && fd.error().code == Errc::not_found) {
    return std::nullopt;
  }
  struct stat status {};
  if (!fd) {
    return tl::unexpected(fd.error());
  }
  if (::fstat(fd->get(), &status) != 0) {
    return fail_errno(errno, path);
  }
  if (S_ISLNK(status.st_mode)) {
    TRY_ASSIGN(std::string target, read_link(fd->get(), path));
    return link_node(std::move(target));
  }
  if (!S_ISREG(status.st_mode)) {
    return fail_other_kind(path);
  }
  TRY_ASSIGN(std::string text, root.read(path));
  return file_node(std::move(text), status.st_mode & 07777);
}

Result<> write_node(const Root& root, std::string_view path, const std::optional<Node>& node) {
  TRY_ASSIGN(const Fd folder, open_parent(root, path));
  const std::string name = name_of(path);
  TRY(check_replaceable(folder, name, path));
  if (!node) {
    if (::unlinkat(folder.get(), name.c_str(), 0) != 0 && errno != ENOENT) {
      return fail_errno(errno, path);
    }
  } else {
    const std::string temporary = "." + name + ".vmcore-guest";
    ::unlinkat(folder.get(), temporary.c_str(), 0);  // of an attempt that was cut short
    if (node->kind == Node::Kind::link) {
      if (::symlinkat(node->content.c_str(), folder.get(), temporary.c_str()) != 0) {
        return fail_errno(errno, path);
      }
    } else if (Result<> written = write_file(root, path, *node, temporary); !written) {
      ::unlinkat(folder.get(), temporary.c_str(), 0);
      return written;
    }
    if (::renameat(folder.get(), temporary.c_str(), folder.get(), name.c_str()) != 0) {
      const int error = errno;
      ::unlinkat(folder.get(), temporary.c_str(), 0);
      return fail_errno(error, path);
    }
  }
  return ::fsync(folder.get()) == 0 ? Result<>() : fail_errno(errno, path);
}

Result<> put_node(const Root& root, std::string_view path, const std::optional<Node>& node) {
  if (!node && !root.exists(parent_of(path))) {
    return {};
  }
  for (const std::string& folder : missing_parents(root, path)) {
    TRY(make_folder(root, folder));
  }
  return write_node(root, path, node);
}

std::vector<std::string> missing_parents(const Root& root, std::string_view path) {
  std::vector<std::string> missing;
  for (std::string folder = parent_of(path); !root.exists(folder); folder = parent_of(folder)) {
    missing.push_back(folder);
  }
  std::ranges::reverse(missing);
  return missing;
}

Result<> make_folder(const Root& root, std::string_view path) {
  TRY_ASSIGN(const Fd folder, open_parent(root, path));
  if (::mkdirat(folder.get(), name_of(path).c_str(), 0755) != 0 && errno != EEXIST) {
    return fail_errno(errno, path);
  }
  return {};
}

Result<> remove_empty_folder(const Root& root, std::string_view path) {
  const auto folder = open_parent(root, path);
  if (!folder) {
    return {};
  }
  if (::unlinkat(folder->get(), name_of(path).c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT &&
      errno != ENOTEMPTY && errno != EEXIST && errno != ENOTDIR) {
    return fail_errno(errno, path);
  }
  return {};
}

}  // namespace vmcore::guest::root
