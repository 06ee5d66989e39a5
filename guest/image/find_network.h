// The network by which this machine reaches an address now: what its capture kernel is told, where
// the configuration does not say.
#pragma once

#include <string>

#include "guest/config/capture_config.h"
#include "guest/root/root.h"

namespace vmcore::guest::image {

// What was found last.
inline constexpr std::string_view kNetworkFile = "/var/lib/vmcore-guest/network";

struct FoundNetwork {
  std::string name;  // of the interface, as the kernel calls it
  config::Network network;
};

// Of the running machine. Errc::not_found where there is no way there.
Result<FoundNetwork> find_network(const config::IpAddress& destination);

// Whether the capture kernel, which puts no interfaces together, has that one: a network card, or
// by its MAC address the card below a bridge or a bond. Errc::unsupported of a VLAN, whose card
// has that address as well but other frames, and of what has no card (a tunnel).
Result<> check_interface(const root::Root& root, const std::string& name);

// Whether the capture kernel is told of a network that was found out: a target needs one, and the
// configuration names none.
bool follows_network(const config::CaptureConfig& config);

// How one target is reached.
struct Way {
  std::string target;
  Result<config::Network> network;
};

// What the capture kernel, which has one interface with one address, is told.
struct ChosenNetwork {
  std::optional<config::Network> network;
  std::vector<Remark> remarks;  // of the targets that it does not lead to
};
// The network of the first target that is reached by any, and whom else it leads to. Pure.
ChosenNetwork choose_network(const std::vector<Way>& ways);
// Of this machine as it is now; nothing where it does not follow.
ChosenNetwork network_now(const root::Root& root, const config::CaptureConfig& config);

// The configuration with the network by which its targets are reached, where it follows. What is
// found is remembered: the capture image is built early in the boot as well, when there is no
// network yet. Remarks where none is known, or not all targets are reached by it.
config::CaptureConfig with_network(const root::Root& root, config::CaptureConfig config,
                                   std::vector<Remark>& remarks);

// The modules that drive the interface with that name or MAC address (driver_modules.h); below a
// bridge or a bond there are others with it. Errc::not_found where there is no such interface.
Result<std::vector<std::string>> network_drivers(const root::Root& root,
                                                 const std::string& interface);

}  // namespace vmcore::guest::image
