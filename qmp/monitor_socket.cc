// SPDX-License-Identifier: GPL-2.0-or-later
#include "qmp/monitor_socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <string_view>

namespace vmcore::qmp {
namespace {

namespace fs = std::filesystem;

// An address of any path: beyond 107 bytes by way of the folder's descriptor.
Result<sockaddr_un> address_of(const fs::path& path, Fd& folder) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::string text = path.string();
  if (text.size() >= sizeof address.sun_path) {
    folder = Fd(::open(path.parent_path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!folder) {
      return fail_errno(errno, path.parent_path().string());
    }
    text = fmt::format("/proc/self/fd/{}/{}", folder.get(), path.filename().string());
  }
  if (text.size() >= sizeof address.sun_path) {
    return fail(Errc::invalid, "the path is too long for a UNIX socket (107 bytes)");
  }
  std::memcpy(address.sun_path, text.c_str(), text.size() + 1);
  return address;
}

// The value of `name` in one QEMU option such as "socket,id=mon0,path=/run/qmp.sock,server=on".
std::string option_value(std::string_view option, std::string_view name) {
  while (!option.empty()) {
    const std::size_t end = std::min(option.find(','), option.size());
    const std::string_view part = option.substr(0, end);
    if (part.size() > name.size() && part.starts_with(name) && part[name.size()] == '=') {
      return std::string(part.substr(name.size() + 1));
    }
    option.remove_prefix(std::min(end + 1, option.size()));
  }
  return {};
}

// Whether QEMU's word means the socket at `path`. A relative one is taken from where QEMU was
// started.
bool same_path(std::string_view word, std::string_view path) {
  return word == path || (!word.empty() && word.front() != '/' && path.ends_with(word) &&
                          path[path.size() - word.size() - 1] == '/');
}

std::string use_of_chardev(const std::vector<std::string>& words, const std::string& id) {
  for (std::size_t i = 1; i < words.size(); ++i) {
    const bool monitor = words[i - 1] == "-mon";
    if (words[i] == "chardev:" + id) {
      return words[i - 1] == "-serial" ? "a serial console" : "a device of the guest";
    }
    const bool named =
        option_value(words[i], "chardev") == id || words[i].starts_with(id + ",") || words[i] == id;
    if (!named || (!monitor && words[i - 1] != "-device")) {
      continue;
    }
    if (monitor) {
      return option_value(words[i], "mode") == "control" ? "" : "a monitor for people (HMP)";
    }
    return words[i].find("guest_agent") != std::string::npos ? "the guest agent"
                                                             : "a device of the guest";
  }
  return {};
}

}  // namespace

bool is_libvirt_path(const fs::path& path) {
  std::error_code error;
  fs::path real = fs::canonical(path, error);
  if (error) {
    real = fs::absolute(path, error);
  }
  const std::string text = real.lexically_normal().string();
  if (text.starts_with("/run/libvirt/") || text.starts_with("/var/run/libvirt/")) {
    return true;
  }
  // LIB/qemu/domain-ID-NAME/monitor.sock, in the system's, a session's or an embedded driver's LIB.
  return real.filename() == "monitor.sock" &&
         real.parent_path().filename().string().starts_with("domain-");
}

Result<Fd> connect_unix(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    return fail_errno(errno, "no socket");
  }
  if (!S_ISSOCK(status.st_mode)) {
    return fail(Errc::invalid, "not a socket");
  }
  Fd folder;
  TRY_ASSIGN(const sockaddr_un address, address_of(path, folder));
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) {
    return fail_errno(errno, "socket");
  }
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
    return socket;
  }
  switch (errno) {
    case ECONNREFUSED:
      return fail(Errc::io, "nobody listens on the socket: the QEMU that made it has ended");
    case EAGAIN:
      return fail(Errc::busy, "too many clients wait for the socket, which serves one at a time");
    case EPROTOTYPE:
      return fail(Errc::not_recognised, "not a stream socket, so not a QEMU monitor");
    default:
      return fail_errno(errno, "connect");
  }
}

std::string other_use(const std::vector<std::string>& words, const std::string& path) {
  constexpr std::string_view kUnix = "unix:";
  for (std::size_t i = 1; i < words.size(); ++i) {
    const std::string_view word = words[i];
    const bool direct = word.starts_with(kUnix) &&
                        same_path(word.substr(kUnix.size(), word.find(',') - kUnix.size()), path);
    if (direct && words[i - 1] == "-serial") {
      return "a serial console";
    }
    if (direct && words[i - 1] == "-monitor") {
      return "a monitor for people (HMP)";
    }
    if (words[i - 1] == "-chardev" && same_path(option_value(word, "path"), path)) {
      return use_of_chardev(words, option_value(word, "id"));
    }
  }
  return {};
}

}  // namespace vmcore::qmp
