#include "src/acquire/libvirt_process.h"

#include <stdlib.h>

#include <algorithm>
#include <fstream>
#include <string_view>
#include <vector>

#include "qmp/unix_peers.h"
#include "src/acquire/libvirt_connection.h"

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

// That the process was started as this domain: the number may be another process's by now.
bool runs_domain(pid_t pid, const std::string& uuid) {
  const std::vector<std::string> words = qmp::command_line(pid);
  const auto option = std::ranges::find(words, "-uuid");
  return option != words.end() && option + 1 != words.end() && *(option + 1) == uuid;
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
    return fail(Errc::unsupported, "libvirt's pid file of the domain, {}, cannot be read here",
                path);
  }
  TRY_ASSIGN(GuestProcess process, GuestProcess::open(pid));
  if (!runs_domain(pid, uuid)) {
    return fail(Errc::unsupported, "process {} of {} does not run the domain", pid, path);
  }
  return process;
}

}  // namespace vmcore::acquire
