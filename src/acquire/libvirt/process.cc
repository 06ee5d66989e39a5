// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/libvirt/process.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <fstream>
#include <sstream>
#include <string_view>

#include "qmp/unix_peers.h"
#include "src/acquire/libvirt/connection.h"
#include "src/acquire/process/identity.h"
#include "src/base/address.h"
#include "src/base/number.h"

namespace vmcore::acquire {
namespace {

// The value of a parameter in the query of a URI; libvirt's own tools escape only what they must.
std::string parameter(const std::string& uri, std::string_view name) {
  const std::size_t query = uri.find('?');
  for (std::size_t at = query; at != std::string::npos; at = uri.find('&', at + 1)) {
    const std::string_view rest = std::string_view(uri).substr(at + 1);
    if (rest.starts_with(name) && rest.substr(name.size()).starts_with('=')) {
      return std::string(rest.substr(name.size() + 1, rest.find('&') - name.size() - 1));
    }
  }
  return {};
}

// Whether the process was started as this domain: another process may have the number by now.
bool runs_domain(pid_t pid, const std::string& uuid) {
  const std::vector<std::string> words = qmp::command_line(pid);
  const auto option = std::ranges::find(words, "-uuid");
  return option != words.end() && option + 1 != words.end() && *(option + 1) == uuid;
}

std::vector<std::string> split(const std::string& options) {
  std::vector<std::string> parts;
  std::istringstream text(options);
  for (std::string part; std::getline(text, part, ',');) {
    parts.push_back(part);
  }
  return parts;
}

Result<std::uint64_t> size_of(std::string_view text) {
  constexpr std::string_view kUnits = "BKMGT";
  std::string_view unit = text;
  const std::uint64_t size = take_number<std::uint64_t>(unit).value_or(0);
  const std::size_t power =
      unit.empty() ? 0 : kUnits.find(static_cast<char>(std::toupper(unit.front())));
  if (unit.size() > 1 || power == std::string_view::npos || size == 0 ||
      size > kMaxPhysAddr >> (10 * power)) {
    return fail(Errc::unsupported,
                "QEMU was started with max-ram-below-4g={}, which is not a known size", text);
  }
  return size << (10 * power);
}

}  // namespace

// libvirt src/qemu/qemu_conf.c, virQEMUDriverConfigNew, and qemu_driver.c, qemuStateInitialize, as
// of 6.0 to 11.0: stateDir.
std::string pid_file(const std::string& uri, const std::string& runtime,
                     const std::string& domain) {
  const std::string_view path = std::string_view(uri).substr(0, uri.find('?'));
  std::string folder = "/run/libvirt/qemu";
  if (path.ends_with("/embed")) {
    folder = parameter(uri, "root") + "/run/qemu";
  } else if (path.ends_with("/session")) {
    folder = runtime + "/libvirt/qemu/run";
  }
  return folder + "/" + domain + ".pid";
}

std::optional<pid_t> pid_in_file(const std::string& path, const std::string& uuid) {
  std::ifstream file(path);
  pid_t pid = 0;
  return file >> pid && pid > 0 && runs_domain(pid, uuid) ? std::optional(pid) : std::nullopt;
}

Result<std::optional<std::uint64_t>> most_low_memory(const std::vector<std::string>& words) {
  std::optional<std::uint64_t> most;
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    if (words[i] != "-machine" && words[i] != "--machine" && words[i] != "-M") {
      continue;
    }
    for (const std::string& option : split(words[i + 1])) {
      constexpr std::string_view kName = "max-ram-below-4g=";
      if (option.starts_with(kName)) {
        TRY_ASSIGN(most, size_of(std::string_view(option).substr(kName.size())));
      }
    }
  }
  return most;
}

Result<GuestProcess> open_domain_process(virConnect* connection, virDomain* domain) {
  char uuid[VIR_UUID_STRING_BUFLEN] = "";
  char* const uri = virConnectGetURI(connection);
  const char* const name = virDomainGetName(domain);
  if (uri == nullptr || name == nullptr || virDomainGetUUIDString(domain, uuid) != 0) {
    return libvirt_failure("the domain's name");
  }
  const char* const runtime = ::getenv("XDG_RUNTIME_DIR");
  const std::string path = pid_file(uri, runtime != nullptr ? runtime : "", name);
  ::free(uri);  // NOLINT: libvirt's strings are malloc's
  std::ifstream file(path);
  pid_t pid = 0;
  if (!(file >> pid) || pid <= 0) {
    return fail(Errc::unsupported, "libvirt's pid file of the domain, {}, cannot be read{}", path,
                ::geteuid() == 0 ? "" : ": run vmcorectl as the user of that libvirt, or as root");
  }
  struct stat owner {};
  if (::stat(path.c_str(), &owner) != 0) {
    return fail_errno(errno, path);
  }
  TRY_ASSIGN(GuestProcess process, GuestProcess::open(pid));
  TRY_ASSIGN(const ProcessIdentity identity, identity_of(pid));
  if (auto may = check_identity(identity, {owner.st_uid, owner.st_gid}); !may) {
    return fail(may.error().code, "process {} of {}: {}", pid, path, may.error().message);
  }
  if (!runs_domain(pid, uuid)) {
    return fail(Errc::unsupported, "process {} of {} does not run the domain", pid, path);
  }
  TRY(process.check_same());
  return process;
}

}  // namespace vmcore::acquire
