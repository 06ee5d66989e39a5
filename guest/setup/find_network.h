// The network by which this machine reaches an address now: what its capture kernel is told, where
// the configuration does not say.
#pragma once

#include <string>

#include "guest/config/capture_config.h"
#include "guest/setup/root.h"

namespace vmcore::guest {

// What was found last.
inline constexpr std::string_view kNetworkFile = "/var/lib/vmcore-guest/network";

struct FoundNetwork {
  std::string name;  // of the interface, as the kernel calls it
  Network network;
};

// Of the running machine. Errc::not_found where there is no way there.
Result<FoundNetwork> find_network(const IpAddress& destination);

// Whether the capture kernel, which puts no interfaces together, has that one: a network card, or
// by its MAC address the card below a bridge or a bond. Errc::unsupported of a VLAN, whose card
// has that address as well but other frames, and of what has no card (a tunnel).
Result<> check_interface(const Root& root, const std::string& name);

// The network that the capture kernel would be told of now: nothing where no target needs one, the
// configuration names one, or there is no way there that it could go.
std::optional<Network> network_now(const Root& root, const CaptureConfig& config);

// The configuration with the network by which its targets are reached, where they need one and it
// names none. What is found is remembered: the capture image is built early in the
// boot as well, when there is no network yet. A Remark where none is known.
CaptureConfig with_network(const Root& root, CaptureConfig config, std::vector<Remark>& remarks);

// The modules that drive the interface with that name or MAC address (driver_modules.h); below a
// bridge or a bond there are others with it. Errc::not_found where there is no such interface.
Result<std::vector<std::string>> network_drivers(const Root& root, const std::string& interface);

}  // namespace vmcore::guest
