// SPDX-License-Identifier: GPL-2.0-or-later
// RemoteHost: the host of a libvirt URI such as qemu+ssh://root@far:2222/system, as ssh and the
// vmcorectl of that host need it.
#pragma once

#include <string>
#include <vector>

#include "src/base/result.h"

namespace vmcore::remote {

struct RemoteHost {
  std::string name;              // as the user knows it
  std::vector<std::string> ssh;  // the words that reach it: program, options, host
  std::string uri;               // of libvirt there
};

// Takes libvirt's URIs whose transport is ssh (also libssh and libssh2), with the parameters
// command, keyfile, no_tty, no_verify and socket (libvirt docs/uri.rst); what else there is says
// how libvirt would go there. Errc::invalid for others.
Result<RemoteHost> parse_remote_uri(const std::string& uri);

}  // namespace vmcore::remote
