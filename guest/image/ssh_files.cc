// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/image/ssh_files.h"

#include <sstream>

#include "guest/image/program_files.h"
#include "src/base/shell.h"

namespace vmcore::guest::image {
namespace {

tl::unexpected<Error> with_mend(const Error& error, std::string_view mend) {
  return fail(error.code, "{}: {}", error.message, mend);
}

}  // namespace

Result<> check_ssh(const root::Root& root, const config::SshConfig& ssh,
                   const config::Endpoint& host) {
  if (const auto client = program_files(root, ssh.client); !client) {
    return with_mend(client.error(), "install the OpenSSH client, or set ssh-client = FILE");
  }
  if (const auto key = root.read(ssh.key); !key) {
    return with_mend(
        key.error(),
        fmt::format(
            "create a key with `{}`, and add {}.pub to authorized_keys on the other machine",
            shell_command({"ssh-keygen", "-t", "ed25519", "-N", "", "-f", ssh.key}), ssh.key));
  }
  const std::string scan =
      fmt::format("add its key with `ssh-keyscan -p {} {} >> {}`, and verify it", host.port,
                  config::format_address(host.address), shell_quoted(ssh.known_hosts));
  const auto hosts = root.read(ssh.known_hosts);
  if (!hosts) {
    return with_mend(hosts.error(), scan);
  }
  if (!may_know(*hosts, host)) {
    return fail(Errc::not_found, "{} has no key of {}: {}", ssh.known_hosts,
                config::format_address(host.address), scan);
  }
  return {};
}

bool may_know(std::string_view known_hosts, const config::Endpoint& host) {
  const std::string address = config::format_address(host.address);
  // The client also accepts the name without a port (sshconnect.c, check_host_key).
  const std::string with_port = fmt::format("[{}]:{}", address, host.port);
  std::istringstream lines{std::string(known_hosts)};
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string names;
    if (!(words >> names) || names.front() == '#') {
      continue;
    }
    if (names.front() == '@' || names.find_first_of("|*?") != std::string::npos) {
      return true;
    }
    std::istringstream list(names);
    for (std::string name; std::getline(list, name, ',');) {
      if (name == address || name == with_port) {
        return true;
      }
    }
  }
  return false;
}

Result<std::vector<ImageFile>> ssh_files(const root::Root& root, const config::SshConfig& ssh) {
  // The client looks up its own user.
  std::vector<ImageFile> files = {{"/etc/passwd", 0644, "root:x:0:0:root:/:/bin/sh\n"}};
  TRY_ASSIGN(const std::vector<std::string> programs, program_files(root, ssh.client));
  for (const std::string& path : programs) {
    TRY_ASSIGN(std::string content, root.read(path));
    files.push_back({path, 0755, std::move(content)});
  }
  for (const std::string& path : {ssh.key, ssh.known_hosts}) {
    TRY_ASSIGN(std::string content, root.read(path));
    files.push_back({path, 0600, std::move(content)});
  }
  return files;
}

}  // namespace vmcore::guest::image
