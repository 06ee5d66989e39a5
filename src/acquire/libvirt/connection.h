// SPDX-License-Identifier: GPL-2.0-or-later
// libvirt's handles as owners, its errors as Errors, its event loop, and how a domain is found. The
// public API only.
#pragma once

#include <libvirt/libvirt.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "src/acquire/method.h"
#include "src/base/result.h"

namespace vmcore::acquire {

struct LibvirtDeleter {
  void operator()(virConnect* connection) const { virConnectClose(connection); }
  void operator()(virDomain* domain) const { virDomainFree(domain); }
};
using LibvirtConnection = std::unique_ptr<virConnect, LibvirtDeleter>;
using LibvirtDomain = std::unique_ptr<virDomain, LibvirtDeleter>;

// libvirt's last error in this thread, with `what` in front of it.
tl::unexpected<Error> libvirt_failure(std::string_view what);

// Connects to the libvirt of this host; starts libvirt's event loop in a thread of its own, once
// for the process. An empty URI is libvirt's own default (LIBVIRT_DEFAULT_URI, its configuration).
Result<LibvirtConnection> connect_libvirt(const std::string& uri);

// The same after a connection broke: waits some seconds for a daemon that is restarted.
Result<LibvirtConnection> connect_again(const std::string& uri);

// Of the daemon that answers: 11.5.0 is 11'005'000, as libvirt has it.
Result<std::uint64_t> version_of(virConnect* connection);

// Errc::not_found if there is none. A number that is one domain's id and another's name is
// Errc::invalid.
Result<LibvirtDomain> find_domain(virConnect* connection, const std::string& domain, LookUp how);

// Empty where libvirt gives none.
std::string uuid_of(virDomain* domain);

// The domain's definition in XML; `flags` are libvirt's VIR_DOMAIN_XML_*.
Result<std::string> definition_of(virDomain* domain, unsigned flags);

}  // namespace vmcore::acquire
