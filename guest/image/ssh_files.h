// SPDX-License-Identifier: GPL-2.0-or-later
// The files of a target "ssh" that are copied into the image: the client and its input.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "guest/config/capture_config.h"
#include "guest/root/root.h"
#include "src/base/result.h"

namespace vmcore::guest::image {

struct ImageFile {
  std::string path;
  unsigned permissions;
  std::string content;
};

// Whether all files exist and known_hosts may contain the key of the host. The error says how to
// fix it.
Result<> check_ssh(const root::Root& root, const config::SshConfig& ssh,
                   const config::Endpoint& host);

// Whether these lines may contain the key of the host (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT").
// Hashed names, patterns and certificate authorities count as a match.
bool may_know(std::string_view known_hosts, const config::Endpoint& host);

// All of the files; an error if one is missing.
Result<std::vector<ImageFile>> ssh_files(const root::Root& root, const config::SshConfig& ssh);

}  // namespace vmcore::guest::image
