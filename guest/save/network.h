// SPDX-License-Identifier: GPL-2.0-or-later
// The network setup of a capture kernel.
#pragma once

#include "guest/config/network.h"
#include "guest/save/supervise.h"

namespace vmcore::guest::save {

// The name of an interface, by its name or its MAC address; empty if there is none.
std::string find_interface(const std::string& name_or_mac);

// Waits for the interface and its carrier, and sets its address and a default route. Settings that
// exist already stay.
Result<> bring_up(const config::Network& network, const Heartbeat& heartbeat);

}  // namespace vmcore::guest::save
