// The network of a capture kernel, where there is nobody else to set it up.
#pragma once

#include "guest/config/network.h"
#include "guest/save/supervise.h"

namespace vmcore::guest::save {

// The kernel's name of an interface by its name or MAC address, or empty.
std::string find_interface(const std::string& name_or_mac);

// Waits for the interface and its carrier, and gives it its address and a default route. What is
// set up already is left as it is.
Result<> bring_up(const config::Network& network, const Beat& beat);

}  // namespace vmcore::guest::save
