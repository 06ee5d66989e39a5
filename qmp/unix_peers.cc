#include "qmp/unix_peers.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <array>
#include <charconv>
#include <cstring>
#include <fstream>
#include <iterator>
#include <set>
#include <string_view>

#include "src/base/fd.h"

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

// The inode of the other end of one socket in the kernel's list, if it carries the path.
std::optional<std::uint64_t> peer_of(const nlmsghdr* message, std::string_view path) {
  auto* info = static_cast<unix_diag_msg*>(NLMSG_DATA(const_cast<nlmsghdr*>(message)));
  std::string_view name;
  std::optional<std::uint64_t> peer;
  auto left = static_cast<int>(message->nlmsg_len - NLMSG_LENGTH(sizeof(*info)));
  auto* attribute = reinterpret_cast<rtattr*>(info + 1);
  for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left)) {
    const auto* data = static_cast<const char*>(RTA_DATA(attribute));
    const std::size_t size = RTA_PAYLOAD(attribute);
    if (attribute->rta_type == UNIX_DIAG_NAME) {
      name = std::string_view(data, ::strnlen(data, size));
    } else if (attribute->rta_type == UNIX_DIAG_PEER && size == sizeof(std::uint32_t)) {
      std::uint32_t inode = 0;
      std::memcpy(&inode, data, sizeof inode);
      peer = inode;
    }
  }
  return name == path ? peer : std::nullopt;
}

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
  message.request.udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_PEER;
  if (::send(netlink.get(), &message, sizeof message, 0) < 0) {
    return fail_errno(errno, "socket list");
  }
  return netlink;
}

// The inodes of the sockets connected to the one at `path`.
std::set<std::uint64_t> connected_to(std::string_view path) {
  std::set<std::uint64_t> inodes;
  const auto netlink = ask_for_sockets();
  if (!netlink) {
    return inodes;
  }
  alignas(nlmsghdr) std::array<char, 64 << 10> buffer;
  while (true) {
    const ssize_t got = ::recv(netlink->get(), buffer.data(), buffer.size(), 0);
    if (got <= 0) {
      return inodes;
    }
    auto left = static_cast<std::size_t>(got);
    for (auto* message = reinterpret_cast<nlmsghdr*>(buffer.data()); NLMSG_OK(message, left);
         message = NLMSG_NEXT(message, left)) {
      if (message->nlmsg_type != SOCK_DIAG_BY_FAMILY) {
        return inodes;  // the end of the list, or an error
      }
      if (const auto peer = peer_of(message, path)) {
        inodes.insert(*peer);
      }
    }
  }
}

bool holds_one_of(pid_t pid, const std::set<std::uint64_t>& inodes) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(fmt::format("/proc/{}/fd", pid), error)) {
    const std::string target = fs::read_symlink(entry.path(), error).string();
    constexpr std::string_view kSocket = "socket:[";
    std::uint64_t inode = 0;
    if (target.starts_with(kSocket)) {
      std::from_chars(target.data() + kSocket.size(), target.data() + target.size(), inode);
      if (inodes.contains(inode)) {
        return true;
      }
    }
  }
  return false;
}

}  // namespace

std::optional<Process> listener_of(int socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.pid <= 0) {
    return std::nullopt;
  }
  return process_of(peer.pid);
}

std::vector<Process> clients_of(const fs::path& path, int own) {
  std::set<std::uint64_t> inodes = connected_to(path.string());
  struct stat status {};
  if (::fstat(own, &status) == 0) {
    inodes.erase(status.st_ino);
  }
  std::vector<Process> processes;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename().string();
    pid_t pid = 0;
    std::from_chars(name.data(), name.data() + name.size(), pid);
    if (pid > 0 && !inodes.empty() && holds_one_of(pid, inodes)) {
      processes.push_back(process_of(pid));
    }
  }
  return processes;
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
