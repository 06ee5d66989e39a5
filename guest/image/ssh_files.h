// What the client of a target "ssh" is and reads: what goes into the image for it.
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

// Whether they are all there, and that host is known as far as can be told; else what mends it.
Result<> check_ssh(const root::Root& root, const config::SshConfig& ssh,
                   const config::Endpoint& host);

// Whether ssh may know the host by these lines (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"). Hashed
// names, patterns and authorities are taken for it.
bool may_know(std::string_view known_hosts, const config::Endpoint& host);

// All of them, or what is missing.
Result<std::vector<ImageFile>> ssh_files(const root::Root& root, const config::SshConfig& ssh);

}  // namespace vmcore::guest::image
