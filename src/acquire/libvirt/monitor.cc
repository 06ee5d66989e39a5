// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/libvirt/monitor.h"

#include <dlfcn.h>
#include <libvirt/libvirt-qemu.h>
#include <stdlib.h>

#include <memory>

#include "src/acquire/libvirt/connection.h"

namespace vmcore::acquire {
namespace {

using qmp::Json;

// Null for libvirt before 8.2; everything else works with it.
auto pass_files() {
  using Function = decltype(&virDomainQemuMonitorCommandWithFiles);
  static const auto function =
      reinterpret_cast<Function>(::dlsym(RTLD_DEFAULT, "virDomainQemuMonitorCommandWithFiles"));
  return function;
}

Result<std::string> pass(virDomain* domain, const std::string& text, int fd) {
  char* reply = nullptr;
  int fds[] = {fd};
  if (fd >= 0 && pass_files() == nullptr) {
    return fail(
        Errc::unsupported,
        "this libvirt is older than 8.2 and cannot pass a file to QEMU: use --consistency pause");
  }
  const int done = fd >= 0 ? pass_files()(domain, text.c_str(), 1, fds, nullptr, nullptr, &reply, 0)
                           : virDomainQemuMonitorCommand(domain, text.c_str(), &reply, 0);
  const std::unique_ptr<char, decltype(&::free)> owner(reply, ::free);
  if (done != 0 || reply == nullptr) {
    return libvirt_failure("QEMU's monitor");
  }
  return std::string(reply);
}

}  // namespace

Result<Json> execute_in_domain(virDomain* domain, const std::string& command, const Json& arguments,
                               int fd) {
  const std::string text = Json{{"execute", command}, {"arguments", arguments}}.dump();
  TRY_ASSIGN(const std::string reply, pass(domain, text, fd));
  if (reply.size() > qmp::kMaxMessage) {
    return fail(Errc::limit, "{}: an answer of {} bytes", command, reply.size());
  }
  TRY_ASSIGN(const Json answer, qmp::parse_object(reply));
  if (const auto error = answer.find("error"); error != answer.end()) {
    const bool unknown = qmp::text_member(*error, "class") == "CommandNotFound";
    return fail(unknown ? Errc::unsupported : Errc::io, "{}: {}", command,
                qmp::text_member(*error, "desc").value_or("refused"));
  }
  const auto value = answer.find("return");
  return value != answer.end() ? *value : Json();
}

}  // namespace vmcore::acquire
