// SPDX-License-Identifier: GPL-2.0-or-later
// Finds the network settings through which this machine reaches an address, for a capture kernel
// without a configured network.
#pragma once

#include <string>

#include "guest/config/capture_config.h"
#include "guest/root/root.h"

namespace vmcore::guest::image {

// The settings that were found last.
inline constexpr std::string_view kNetworkFile = "/var/lib/vmcore-guest/network";

struct FoundNetwork {
  std::string name;  // of the interface
  config::Network network;
};

// The settings of the running machine. Errc::not_found if there is no route.
Result<FoundNetwork> find_network(const config::IpAddress& destination);

// Whether the capture kernel, which builds no bridges or bonds, can use the interface: it is a
// network card, or the card below a bridge or a bond with the same MAC address. Errc::unsupported
// for a VLAN, whose card has the same address but needs tagged frames, and for an interface without
// a card (a tunnel).
Result<> check_interface(const root::Root& root, const std::string& name);

// Whether the capture kernel gets network settings that are found automatically: a target needs the
// network, and the configuration has no settings.
bool follows_network(const config::CaptureConfig& config);

// The network settings that reach one target.
struct Way {
  std::string target;
  Result<config::Network> network;
};

// The settings of the capture kernel, which sets up one interface with one address.
struct ChosenNetwork {
  std::optional<config::Network> network;
  std::vector<Remark> remarks;  // one for each target that they do not reach
};
// Chooses the settings of the first reachable target, and checks which other targets they reach.
// Pure.
ChosenNetwork choose_network(const std::vector<Way>& ways);
// The choice for this machine now; nothing unless follows_network.
ChosenNetwork network_now(const root::Root& root, const config::CaptureConfig& config);

// Adds the chosen settings to the configuration if follows_network, and stores them: early in the
// boot, when the capture image may be built, there is no network yet, and the stored settings are
// used. Adds a Remark if no settings are known, and for each target that they do not reach.
config::CaptureConfig with_network(const root::Root& root, config::CaptureConfig config,
                                   std::vector<Remark>& remarks);

// The modules that drive the interface with that name or MAC address (driver_modules.h). A bridge
// or a bond shares its address with its cards; their drivers are included. Errc::not_found if there
// is no such interface.
Result<std::vector<std::string>> network_drivers(const root::Root& root,
                                                 const std::string& interface);

}  // namespace vmcore::guest::image
