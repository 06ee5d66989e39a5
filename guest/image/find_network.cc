// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/image/find_network.h"

#include <ifaddrs.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <strings.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>

#include "guest/image/driver_modules.h"
#include "guest/root/read_word.h"
#include "guest/root/state_file.h"
#include "guest/save/netlink.h"
#include "guest/save/target_kinds.h"
#include "src/base/little_endian.h"

namespace vmcore::guest::image {
namespace {

struct Route {
  int interface = 0;  // its index
  std::optional<config::IpAddress> gateway;
  std::optional<config::IpAddress> source;
};

Result<Route> find_route(const config::IpAddress& destination) {
  rtmsg body{};
  body.rtm_family = static_cast<unsigned char>(destination.family);
  body.rtm_dst_len = static_cast<unsigned char>(destination.bytes().size() * 8);
  TRY_ASSIGN(const std::vector<std::byte> answer,
             save::ask_netlink(RTM_GETROUTE, 0, as_bytes(body), {{RTA_DST, destination.bytes()}}));
  Route route;
  for (std::size_t at = NLMSG_ALIGN(sizeof(rtmsg));;) {
    const auto header = load<rtattr>(answer, at);
    if (!header || header->rta_len < sizeof(rtattr)) {
      return route;
    }
    const auto value = std::span(answer)
                           .subspan(at, std::min<std::size_t>(header->rta_len, answer.size() - at))
                           .subspan(sizeof(rtattr));
    config::IpAddress address{.family = destination.family};
    std::copy_n(value.begin(), std::min(value.size(), address.storage.size()),
                address.storage.begin());
    if (header->rta_type == RTA_OIF) {
      route.interface = load<int>(value, 0).value_or(0);
    } else if (header->rta_type == RTA_GATEWAY) {
      route.gateway = address;
    } else if (header->rta_type == RTA_PREFSRC) {
      route.source = address;
    }
    at += RTA_ALIGN(header->rta_len);
  }
}

struct FreeInterfaces {
  void operator()(ifaddrs* list) const { ::freeifaddrs(list); }
};

std::optional<config::IpAddress> address_of(const sockaddr* socket) {
  if (socket == nullptr || (socket->sa_family != AF_INET && socket->sa_family != AF_INET6)) {
    return std::nullopt;
  }
  config::IpAddress address{.family = socket->sa_family};
  const auto* const bytes = reinterpret_cast<const std::byte*>(socket);
  const std::size_t at = address.family == AF_INET ? 4 : 8;  // sin_addr, sin6_addr
  std::copy_n(bytes + at, address.bytes().size(), address.storage.begin());
  return address;
}

std::optional<unsigned> prefix_of(const config::IpAddress& wanted) {
  ifaddrs* all = nullptr;
  if (::getifaddrs(&all) != 0) {
    return std::nullopt;
  }
  const std::unique_ptr<ifaddrs, FreeInterfaces> list(all);
  for (const ifaddrs* entry = all; entry != nullptr; entry = entry->ifa_next) {
    const auto mask = address_of(entry->ifa_netmask);
    if (mask && address_of(entry->ifa_addr) == wanted) {
      unsigned bits = 0;
      for (const std::byte byte : mask->bytes()) {
        bits += static_cast<unsigned>(std::popcount(std::to_integer<unsigned char>(byte)));
      }
      return bits;
    }
  }
  return std::nullopt;
}

constexpr std::string_view kInterfaces = "/sys/class/net";

std::string folder_of(const std::string& name) { return fmt::format("{}/{}", kInterfaces, name); }

std::string mac_of(const root::Root& root, const std::string& name) {
  return root::read_word(root, {folder_of(name) + "/address"}).value_or("");
}

// The interfaces with that name or MAC address.
std::vector<std::string> interfaces_of(const root::Root& root, const std::string& interface) {
  auto names = root.list(kInterfaces).value_or(std::vector<std::string>());
  std::erase_if(names, [&](const std::string& name) {
    return name != interface && ::strcasecmp(mac_of(root, name).c_str(), interface.c_str()) != 0;
  });
  return names;
}

// Like find_network, and checks that the capture kernel can use the interface.
Result<config::Network> way_to(const root::Root& root, const config::IpAddress& destination) {
  TRY_ASSIGN(FoundNetwork found, find_network(destination));
  TRY(check_interface(root, found.name));
  return std::move(found.network);
}

// The same interface and address. If one needs no gateway, the gateway of the other does no harm.
bool agree(const config::Network& one, const config::Network& other) {
  return one.interface == other.interface && one.address == other.address &&
         (!one.gateway || !other.gateway || one.gateway == other.gateway);
}

}  // namespace

Result<FoundNetwork> find_network(const config::IpAddress& destination) {
  const Route route = find_route(destination).value_or(Route());  // ENETUNREACH where none is
  char name[IF_NAMESIZE] = "";
  const auto prefix = route.source ? prefix_of(*route.source) : std::nullopt;
  if (!prefix || ::if_indextoname(static_cast<unsigned>(route.interface), name) == nullptr) {
    return fail(Errc::not_found, "there is no route to {}", config::format_address(destination));
  }
  TRY_ASSIGN(const root::Root root, root::Root::open("/"));
  const std::string mac = mac_of(root, name);
  return FoundNetwork{name,
                      {.interface = mac.empty() ? name : mac,
                       .address = *route.source,
                       .prefix = *prefix,
                       .gateway = route.gateway}};
}

Result<> check_interface(const root::Root& root, const std::string& name) {
  const std::string uevent = "\n" + root.read(folder_of(name) + "/uevent").value_or("");
  if (uevent.find("\nDEVTYPE=vlan\n") != std::string::npos) {
    return fail(Errc::unsupported, "{} is a VLAN, which the capture kernel does not set up", name);
  }
  const std::string mac = mac_of(root, name);
  const auto cards = interfaces_of(root, mac.empty() ? name : mac);
  if (std::ranges::none_of(cards, [&](const std::string& card) {
        return root.exists(folder_of(card) + "/device");
      })) {
    return fail(Errc::unsupported, "{} has no network card that the capture kernel can use", name);
  }
  return {};
}

bool follows_network(const config::CaptureConfig& config) {
  return !config.network && std::ranges::any_of(config.targets, [](const config::Target& target) {
    return save::network_address_of(target).has_value();
  });
}

ChosenNetwork choose_network(const std::vector<Way>& ways) {
  ChosenNetwork chosen;
  std::optional<config::Network>& network = chosen.network;
  for (const Way& way : ways) {
    if (!way.network) {
      chosen.remarks.push_back(
          {way.network.error().code,
           fmt::format("target {}: {}: run vmcore-guest load when there is another route, or set "
                       "network = INTERFACE,ADDRESS/PREFIX,GATEWAY",
                       way.target, way.network.error().message)});
    } else if (!network) {
      network = *way.network;
    } else if (!agree(*network, *way.network)) {
      chosen.remarks.push_back(
          {Errc::unsupported, fmt::format("target {}: its network is {}, but the capture kernel "
                                          "sets up only one, that of the targets before it: {}",
                                          way.target, config::format_network(*way.network),
                                          config::format_network(*network))});
    } else if (!network->gateway) {
      network->gateway = way.network->gateway;
    }
  }
  return chosen;
}

ChosenNetwork network_now(const root::Root& root, const config::CaptureConfig& config) {
  std::vector<Way> ways;
  if (follows_network(config) && root.running()) {
    for (const config::Target& target : config.targets) {
      if (const auto destination = save::network_address_of(target)) {
        ways.push_back({config::format_target(target), way_to(root, *destination)});
      }
    }
  }
  return choose_network(ways);
}

config::CaptureConfig with_network(const root::Root& root, config::CaptureConfig config,
                                   std::vector<Remark>& remarks) {
  if (follows_network(config) && !root.running()) {
    remarks.push_back({Errc::unsupported,
                       "the network of a guest that is not running is unknown: set network = "
                       "INTERFACE,ADDRESS/PREFIX,GATEWAY"});
    return config;
  }
  ChosenNetwork now = network_now(root, config);
  if (now.network) {
    config.network = std::move(now.network);
    static_cast<void>(root::make_state_folder(root, root::kStateFolder));
    static_cast<void>(
        root::write_state(root, kNetworkFile, config::format_network(*config.network) + "\n"));
  } else if (!now.remarks.empty() && std::ranges::all_of(now.remarks, [](const Remark& remark) {
               return remark.code == Errc::not_found;  // it may be early in the boot
             })) {
    if (auto remembered =
            config::parse_network(root::read_word(root, {kNetworkFile}).value_or(""))) {
      config.network = *std::move(remembered);
      return config;
    }
  }
  remarks.insert(remarks.end(), now.remarks.begin(), now.remarks.end());
  return config;
}

Result<std::vector<std::string>> network_drivers(const root::Root& root,
                                                 const std::string& interface) {
  const auto names = interfaces_of(root, interface);
  if (names.empty()) {
    return fail(Errc::not_found, "this machine has no network interface {}", interface);
  }
  std::vector<std::string> drivers;
  for (const std::string& name : names) {
    const auto some = driver_modules(root, folder_of(name));
    drivers.insert(drivers.end(), some.begin(), some.end());
  }
  return drivers;
}

}  // namespace vmcore::guest::image
