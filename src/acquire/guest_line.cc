#include "src/acquire/guest_line.h"

#include <fcntl.h>
#include <sys/socket.h>
// First the socket header: this one needs its types.
#include <linux/vm_sockets.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <filesystem>
#include <utility>

#include "qmp/monitor_socket.h"
#include "src/acquire/libvirt_setup.h"

namespace vmcore::acquire {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kVsock = "vsock:";

Result<GuestLine> open_standard_input() {
  if (::isatty(STDIN_FILENO) != 0) {
    return fail(Errc::invalid, "standard input is a terminal, not a guest's stream");
  }
  TRY_ASSIGN(Fd fd, duplicate(STDIN_FILENO));
  return GuestLine{.name = "guest", .fd = std::move(fd)};
}

Result<GuestLine> listen_on_vsock(std::string_view text) {
  sockaddr_vm address{};
  address.svm_family = AF_VSOCK;
  address.svm_cid = VMADDR_CID_ANY;
  address.svm_port = kDumpVsockPort;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, address.svm_port);
  if (!text.empty() && (error != std::errc() || rest != end)) {
    return fail(Errc::invalid, "vsock:{}: give a port's number, or none for {}", text,
                kDumpVsockPort);
  }
  Fd socket(::socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket && errno == EAFNOSUPPORT) {
    return fail(Errc::unsupported,
                "this kernel has no vsock: load its module (modprobe vhost_vsock), or give the "
                "guest a virtio-serial channel");
  }
  // sockaddr_vm is one of the addresses that sockaddr stands for.
  if (!socket ||
      ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(socket.get(), 1) != 0) {
    return fail_errno(errno, fmt::format("vsock port {}", address.svm_port));
  }
  return GuestLine{.name = "vsock", .fd = std::move(socket), .listens = true};
}

Result<GuestLine> open_path(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    return fail_errno(errno, path.string());
  }
  GuestLine line{.name = path.stem().string(), .fd = {}};
  if (S_ISDIR(status.st_mode)) {
    return fail(Errc::invalid,
                "{} is a folder: give the socket of a guest's channel, or a file "
                "that holds its stream",
                path.string());
  }
  if (S_ISSOCK(status.st_mode)) {
    auto socket = qmp::connect_unix(path);
    if (!socket) {
      return in_context(std::move(socket).error(), path.string());
    }
    line.fd = *std::move(socket);
    return line;
  }
  // A FIFO is open before there is a writer: that is waited for as for what it writes.
  line.fd = Fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!line.fd || ::fcntl(line.fd.get(), F_SETFL, O_RDONLY) != 0) {
    return fail_errno(errno, path.string());
  }
  return line;
}

Result<GuestLine> open_domain_line(const Selection& selection) {
  TRY_ASSIGN(DomainChannel channel, channel_of_domain(selection, kDumpChannel));
  auto line = open_path(channel.path);
  if (!line) {
    return in_context(std::move(line).error(), channel.domain);
  }
  line->name = std::move(channel.domain);
  line->memory = channel.memory;
  line->witness = watch_domain(selection).value_or(nullptr);
  return line;
}

}  // namespace

Result<GuestLine> open_guest_line(const std::string& from, Selection selection) {
  const bool is_domain = !selection.uri.empty() || selection.look_up != LookUp::any;
  if (!is_domain && from == "-") {
    return open_standard_input();
  }
  if (!is_domain && from.starts_with(kVsock)) {
    return listen_on_vsock(std::string_view(from).substr(kVsock.size()));
  }
  std::error_code ignored;
  if (!is_domain && (from.find('/') != std::string::npos || fs::exists(from, ignored))) {
    return open_path(from);
  }
  selection.domain = from;
  return open_domain_line(selection);
}

Result<> accept_guest(GuestLine& line) {
  sockaddr_vm peer{};
  socklen_t size = sizeof peer;
  Fd guest(::accept4(line.fd.get(), reinterpret_cast<sockaddr*>(&peer), &size, SOCK_CLOEXEC));
  if (!guest) {
    return fail_errno(errno, "vsock");
  }
  line.name = fmt::format("cid-{}", peer.svm_cid);
  line.fd = std::move(guest);
  line.listens = false;
  return {};
}

}  // namespace vmcore::acquire
