// SPDX-License-Identifier: GPL-2.0-or-later
// What a service does to a domain whose guest crashed. The public API only: no domain is tainted.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "src/acquire/guest.h"
#include "src/base/result.h"

namespace vmcore::acquire {

enum class DomainDeed : std::uint8_t {
  // As libvirt's own on_crash restart: QEMU resets the guest and lets it run. So a transient domain
  // stays, and no device is set up again. Where that fails, a persistent domain is destroyed and
  // started.
  restart,
  destroy,
  resume,
  nmi,  // the guest's kernel is told to panic, if it does so on an unknown NMI
};

// By a connection of its own; returns when it is done. `only_if_stopped`: Errc::guest_state if the
// domain runs, once libvirt's own job of it (a dump that its on_crash asks for) is over. A domain
// that has ended is Errc::guest_state, too. Waits for libvirt as long as its connection lasts.
Result<> do_to_domain(const std::string& uri, const std::string& uuid, DomainDeed deed,
                      bool only_if_stopped);

// The QEMU of the domain, by libvirt's pid file, which this user may read; nothing where it is not
// found. Asks nothing of libvirt.
std::optional<ProcessKey> process_of_domain(const std::string& uri, const std::string& name,
                                            const std::string& uuid);

}  // namespace vmcore::acquire
