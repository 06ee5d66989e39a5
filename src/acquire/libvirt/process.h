// SPDX-License-Identifier: GPL-2.0-or-later
// The QEMU process of a libvirt domain, found by the public API and libvirt's pid file.
#pragma once

#include <libvirt/libvirt.h>
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "src/acquire/process/guest_process.h"
#include "src/base/result.h"

namespace vmcore::acquire {

// Errc::unsupported if it is not found on this host; Errc::denied if this user may not read it, or
// not for the owner of the pid file (process/identity.h).
Result<GuestProcess> open_domain_process(virConnect* connection, virDomain* domain);

// The limit of memory below 4 GiB on QEMU's command line (the machine's max-ram-below-4g), which
// libvirt's definition can pass on without reading it (<qemu:commandline>). Errc::unsupported for a
// size in an unknown form. Source: QEMU util/cutils.c, qemu_strtosz.
Result<std::optional<std::uint64_t>> most_low_memory(const std::vector<std::string>& command_line);

// Where libvirt's QEMU driver of that URI keeps the pid file of a domain. `runtime` is
// XDG_RUNTIME_DIR.
std::string pid_file(const std::string& uri, const std::string& runtime, const std::string& domain);
// The process in it; nothing where that does not run the domain.
std::optional<pid_t> pid_in_file(const std::string& path, const std::string& uuid);

}  // namespace vmcore::acquire
