// The QEMU process of a libvirt domain, found by the public API and libvirt's pid file.
#pragma once

#include <libvirt/libvirt.h>

#include <string>

#include "src/acquire/guest_process.h"
#include "src/base/result.h"

namespace vmcore::acquire {

// Errc::unsupported where it cannot be found on this host; Errc::denied where it may not be read.
Result<GuestProcess> open_domain_process(virConnect* connection, virDomain* domain);

// Where libvirt's QEMU driver of that URI keeps the pid file of a domain. `runtime` is
// XDG_RUNTIME_DIR.
std::string pid_file(const std::string& uri, const std::string& runtime, const std::string& domain);

}  // namespace vmcore::acquire
