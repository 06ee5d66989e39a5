// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/save/port.h"

#include <fcntl.h>

#include <cerrno>
#include <chrono>
#include <string_view>
#include <vector>

#include "guest/save/folder.h"
#include "guest/save/wait_until.h"
#include "src/base/whole_file.h"

namespace vmcore::guest::save {
namespace {

constexpr const char* kPorts = "/sys/class/virtio-ports";
// The ports of a device appear one by one after its driver is loaded.
constexpr std::chrono::seconds kPortWait{5};

// The device of the port, or empty. `others` gets the names of the existing ports.
std::string look_for(std::string_view name, std::vector<std::string>& others) {
  others.clear();
  for (const std::string& port : names_in(kPorts)) {
    others.push_back(first_line(fmt::format("{}/{}/name", kPorts, port)));
    if (others.back() == name) {
      return "/dev/" + port;
    }
  }
  return "";
}

Result<std::string> find_port(std::string_view name) {
  std::string path;
  std::vector<std::string> others;
  if (!wait_until([&] { return !(path = look_for(name, others)).empty(); }, kPortWait)) {
    return fail(Errc::not_found, "this machine has no virtio-serial port named {}; it has: {}",
                name, others.empty() ? "none" : fmt::format("{}", fmt::join(others, " ")));
  }
  return path;
}

}  // namespace

Result<Fd> open_port(const std::string& name) {
  TRY_ASSIGN(const std::string path, find_port(name));
  Fd port(::open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!port) {
    return fail_errno(errno, path);
  }
  return port;
}

}  // namespace vmcore::guest::save
