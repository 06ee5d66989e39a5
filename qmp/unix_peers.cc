// SPDX-License-Identifier: GPL-2.0-or-later
#include "qmp/unix_peers.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <set>
#include <string_view>
#include <utility>

#include "src/base/fd.h"
#include "src/base/number.h"

namespace vmcore::qmp {
namespace {

namespace fs = std::filesystem;

std::string read_text(const fs::path& path) {
  constexpr std::size_t kMost = 1U << 20;
  std::ifstream file(path, std::ios::binary);
  std::string text;
  std::array<char, 4096> part;
  while (text.size() < kMost && (file.read(part.data(), part.size()), file.gcount() > 0)) {
    text.append(part.data(), static_cast<std::size_t>(file.gcount()));
  }
  return text;
}

Process process_of(pid_t pid) {
  std::string name = read_text(fmt::format("/proc/{}/comm", pid));
  std::erase_if(name, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 127; });
  return {pid, name};
}

// A socket of the kernel's list.
struct Listed {
  std::string_view name;         // its path, as it was bound
  std::uint32_t path_inode = 0;  // of that path; zero for a socket without one
  std::uint32_t path_device = 0;
  std::optional<std::uint64_t> peer;  // the inode of its other end
  std::string_view waiting;           // inodes of those that wait to be accepted, 4 bytes each
};

template <class T>
std::optional<T> value_of(std::string_view data) {
  T value{};
  if (data.size() != sizeof value) {
    return std::nullopt;
  }
  std::memcpy(&value, data.data(), sizeof value);
  return value;
}

// `message` begins with its nlmsghdr; attributes are aligned to 4 bytes (rtnetlink(3)).
Listed read_socket(std::string_view message) {
  Listed socket;
  message.remove_prefix(std::min(message.size(), NLMSG_HDRLEN + sizeof(unix_diag_msg)));
  while (message.size() >= sizeof(rtattr)) {
    rtattr attribute{};
    std::memcpy(&attribute, message.data(), sizeof attribute);
    const std::size_t length = std::min<std::size_t>(attribute.rta_len, message.size());
    if (length < sizeof attribute) {
      break;
    }
    const std::string_view data = message.substr(sizeof attribute, length - sizeof attribute);
    if (attribute.rta_type == UNIX_DIAG_NAME) {
      socket.name = data.substr(0, data.find('\0'));
    } else if (attribute.rta_type == UNIX_DIAG_VFS) {
      const unix_diag_vfs place = value_of<unix_diag_vfs>(data).value_or(unix_diag_vfs{});
      socket.path_inode = place.udiag_vfs_ino;
      socket.path_device = place.udiag_vfs_dev;
    } else if (attribute.rta_type == UNIX_DIAG_PEER) {
      socket.peer = value_of<std::uint32_t>(data);
    } else if (attribute.rta_type == UNIX_DIAG_ICONS) {
      socket.waiting = data;
    }
    message.remove_prefix(std::min(message.size(), (length + 3) / 4 * 4));
  }
  return socket;
}

// Which sockets carry a path: those that were bound to it by that name, or by another, such as a
// relative one.
class BoundTo {
 public:
  explicit BoundTo(const fs::path& path) : name_(path.string()) {
    struct stat status {};
    if (::stat(path.c_str(), &status) == 0) {
      constexpr unsigned kMinorBits = 20;  // the kernel's own dev_t, as unix_diag tells it
      inode_ = static_cast<std::uint32_t>(status.st_ino);
      device_ = ::gnu_dev_major(status.st_dev) << kMinorBits | ::gnu_dev_minor(status.st_dev);
    }
  }
  bool operator()(const Listed& socket) const {
    return socket.name == name_ ||
           (inode_ != 0 && socket.path_inode == inode_ && socket.path_device == device_);
  }

 private:
  std::string name_;
  std::uint32_t inode_ = 0;
  std::uint32_t device_ = 0;
};

Result<Fd> ask_for_sockets() {
  Fd netlink(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  if (!netlink) {
    return fail_errno(errno, "socket list");
  }
  struct {
    nlmsghdr header;
    unix_diag_req request;
  } message{};
  message.header.nlmsg_len = sizeof message;
  message.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  message.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  message.request.sdiag_family = AF_UNIX;
  message.request.udiag_states = ~0U;
  message.request.udiag_show =
      UDIAG_SHOW_NAME | UDIAG_SHOW_VFS | UDIAG_SHOW_PEER | UDIAG_SHOW_ICONS;
  if (::send(netlink.get(), &message, sizeof message, 0) < 0) {
    return fail_errno(errno, "socket list");
  }
  return netlink;
}

// The inodes of the sockets connected to the one at `path`, with those that wait to be accepted.
struct Connected {
  std::set<std::uint64_t> served;
  std::set<std::uint64_t> waiting;
};

void take(const Listed& socket, Connected& connected) {
  if (socket.peer) {
    connected.served.insert(*socket.peer);
  }
  constexpr std::size_t kInode = sizeof(std::uint32_t);
  for (std::string_view rest = socket.waiting; rest.size() >= kInode; rest.remove_prefix(kInode)) {
    connected.waiting.insert(value_of<std::uint32_t>(rest.substr(0, kInode)).value_or(0));
  }
}

Connected connected_to(const fs::path& path) {
  const BoundTo is_bound(path);
  Connected inodes;
  const auto netlink = ask_for_sockets();
  if (!netlink) {
    return inodes;
  }
  std::array<char, 64 << 10> buffer;
  while (true) {
    const ssize_t got = ::recv(netlink->get(), buffer.data(), buffer.size(), 0);
    if (got <= 0) {
      return inodes;
    }
    std::string_view messages(buffer.data(), static_cast<std::size_t>(got));
    while (messages.size() >= sizeof(nlmsghdr)) {
      nlmsghdr header{};
      std::memcpy(&header, messages.data(), sizeof header);
      if (header.nlmsg_type != SOCK_DIAG_BY_FAMILY || header.nlmsg_len < sizeof header) {
        return inodes;  // the end of the list, or an error
      }
      const Listed socket = read_socket(messages.substr(0, header.nlmsg_len));
      if (is_bound(socket)) {
        take(socket, inodes);
      }
      messages.remove_prefix(std::min<std::size_t>(messages.size(), NLMSG_ALIGN(header.nlmsg_len)));
    }
  }
}

bool holds_one_of(pid_t pid, const std::set<std::uint64_t>& inodes) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(fmt::format("/proc/{}/fd", pid), error)) {
    const std::string target = fs::read_symlink(entry.path(), error).string();
    constexpr std::string_view kSocket = "socket:[";
    if (target.starts_with(kSocket)) {
      std::string_view digits = std::string_view(target).substr(kSocket.size());
      if (inodes.contains(take_number<std::uint64_t>(digits).value_or(0))) {
        return true;
      }
    }
  }
  return false;
}

}  // namespace

std::optional<Listener> listener_of(int socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.pid <= 0) {
    return std::nullopt;
  }
  return Listener{process_of(peer.pid), peer.uid, peer.gid};
}

Result<std::optional<Fd>> pidfd_of_listener(int socket) {
  constexpr int kPeerPidfd = 77;  // Linux include/uapi/asm-generic/socket.h
  int pidfd = -1;
  socklen_t size = sizeof pidfd;
  if (::getsockopt(socket, SOL_SOCKET, kPeerPidfd, &pidfd, &size) == 0) {
    return Fd(pidfd);
  }
  if (errno == ENOPROTOOPT || errno == EOPNOTSUPP) {
    return std::nullopt;
  }
  return fail(Errc::unsupported, "the process that made the monitor's socket has ended");
}

namespace {

std::vector<Process> holders_of(const std::set<std::uint64_t>& inodes) {
  std::vector<Process> processes;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename().string();
    std::string_view digits = name;
    const pid_t pid = take_number<pid_t>(digits).value_or(0);
    if (pid > 0 && !inodes.empty() && holds_one_of(pid, inodes)) {
      processes.push_back(process_of(pid));
    }
  }
  return processes;
}

std::set<std::uint64_t> without_own(std::set<std::uint64_t> inodes, int own) {
  inodes.erase(0);  // who hung up, and was not noticed yet
  struct stat status {};
  if (::fstat(own, &status) == 0) {
    inodes.erase(status.st_ino);
  }
  return inodes;
}

}  // namespace

std::vector<Process> clients_of(const fs::path& path, int own) {
  return holders_of(without_own(connected_to(path).served, own));
}

std::string name_others(const fs::path& path, int own) {
  Connected connected = connected_to(path);
  connected.served.merge(connected.waiting);
  const std::set<std::uint64_t> inodes = without_own(std::move(connected.served), own);
  std::string names;
  for (const Process& process : holders_of(inodes)) {
    names += fmt::format("{}{} (pid {})", names.empty() ? "" : ", ", process.name, process.pid);
  }
  return !names.empty() || inodes.empty() ? names : "a process that this user cannot see";
}

std::vector<std::string> command_line(pid_t pid) {
  const std::string text = read_text(fmt::format("/proc/{}/cmdline", pid));
  std::vector<std::string> words;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\0', at), text.size());
    words.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return words;
}

}  // namespace vmcore::qmp
