#include "guest/setup/find_network.h"

#include <ifaddrs.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <strings.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>

#include "guest/save/netlink.h"
#include "guest/setup/driver_modules.h"
#include "guest/setup/kernel_facts.h"
#include "guest/setup/state_file.h"
#include "src/base/little_endian.h"

namespace vmcore::guest {
namespace {

struct Route {
  int interface = 0;  // its index
  std::optional<IpAddress> gateway;
  std::optional<IpAddress> source;
};

Result<Route> find_route(const IpAddress& destination) {
  rtmsg body{};
  body.rtm_family = static_cast<unsigned char>(destination.family);
  body.rtm_dst_len = static_cast<unsigned char>(destination.bytes().size() * 8);
  TRY_ASSIGN(const std::vector<std::byte> answer,
             ask_netlink(RTM_GETROUTE, 0, as_bytes(body), {{RTA_DST, destination.bytes()}}));
  Route route;
  for (std::size_t at = NLMSG_ALIGN(sizeof(rtmsg));;) {
    const auto header = load<rtattr>(answer, at);
    if (!header || header->rta_len < sizeof(rtattr)) {
      return route;
    }
    const auto value = std::span(answer)
                           .subspan(at, std::min<std::size_t>(header->rta_len, answer.size() - at))
                           .subspan(sizeof(rtattr));
    IpAddress address{.family = destination.family};
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

std::optional<IpAddress> address_of(const sockaddr* socket) {
  if (socket == nullptr || (socket->sa_family != AF_INET && socket->sa_family != AF_INET6)) {
    return std::nullopt;
  }
  IpAddress address{.family = socket->sa_family};
  const auto* const bytes = reinterpret_cast<const std::byte*>(socket);
  const std::size_t at = address.family == AF_INET ? 4 : 8;  // sin_addr, sin6_addr
  std::copy_n(bytes + at, address.bytes().size(), address.storage.begin());
  return address;
}

std::optional<unsigned> prefix_of(const IpAddress& wanted) {
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

std::string mac_of(const Root& root, const std::string& name) {
  return read_word(root, {folder_of(name) + "/address"}).value_or("");
}

// The interfaces with that name or MAC address.
std::vector<std::string> interfaces_of(const Root& root, const std::string& interface) {
  auto names = root.list(kInterfaces).value_or(std::vector<std::string>());
  std::erase_if(names, [&](const std::string& name) {
    return name != interface && ::strcasecmp(mac_of(root, name).c_str(), interface.c_str()) != 0;
  });
  return names;
}

// Where the first target that needs a network leads.
std::optional<IpAddress> destination_of(const CaptureConfig& config) {
  for (const Target& target : config.targets) {
    if (const auto address = network_address_of(target)) {
      return address;
    }
  }
  return std::nullopt;
}

// As find_network, where the capture kernel could go it.
Result<Network> way_to(const Root& root, const IpAddress& destination) {
  TRY_ASSIGN(FoundNetwork found, find_network(destination));
  TRY(check_interface(root, found.name));
  return std::move(found.network);
}

}  // namespace

Result<FoundNetwork> find_network(const IpAddress& destination) {
  const Route route = find_route(destination).value_or(Route());  // ENETUNREACH where none is
  char name[IF_NAMESIZE] = "";
  const auto prefix = route.source ? prefix_of(*route.source) : std::nullopt;
  if (!prefix || ::if_indextoname(static_cast<unsigned>(route.interface), name) == nullptr) {
    return fail(Errc::not_found, "there is no way to {} now", format_address(destination));
  }
  TRY_ASSIGN(const Root root, Root::open("/"));
  const std::string mac = mac_of(root, name);
  return FoundNetwork{name,
                      {.interface = mac.empty() ? name : mac,
                       .address = *route.source,
                       .prefix = *prefix,
                       .gateway = route.gateway}};
}

Result<> check_interface(const Root& root, const std::string& name) {
  const std::string uevent = "\n" + root.read(folder_of(name) + "/uevent").value_or("");
  if (uevent.find("\nDEVTYPE=vlan\n") != std::string::npos) {
    return fail(Errc::unsupported, "{} is a VLAN, which the capture kernel does not set up", name);
  }
  const std::string mac = mac_of(root, name);
  const auto cards = interfaces_of(root, mac.empty() ? name : mac);
  if (std::ranges::none_of(cards, [&](const std::string& card) {
        return root.exists(folder_of(card) + "/device");
      })) {
    return fail(Errc::unsupported, "{} has no network card that the capture kernel would find",
                name);
  }
  return {};
}

std::optional<Network> network_now(const Root& root, const CaptureConfig& config) {
  const auto destination = destination_of(config);
  if (!destination || config.network || !root.running()) {
    return std::nullopt;
  }
  const auto found = way_to(root, *destination);
  return found ? std::optional(*found) : std::nullopt;
}

CaptureConfig with_network(const Root& root, CaptureConfig config, std::vector<Remark>& remarks) {
  const auto destination = destination_of(config);
  if (!destination || config.network || !root.running()) {
    return config;
  }
  const auto found = way_to(root, *destination);
  if (found) {
    config.network = *found;
    static_cast<void>(make_state_folder(root, kStateFolder));
    static_cast<void>(write_state(root, kNetworkFile, format_network(*config.network) + "\n"));
    return config;
  }
  auto remembered = parse_network(read_word(root, {kNetworkFile}).value_or(""));
  if (found.error().code != Errc::unsupported && remembered) {
    config.network = *std::move(remembered);
  } else {
    remarks.push_back(
        {found.error().code, fmt::format("{}: build the image again when there is another way, or "
                                         "say how (network = INTERFACE,ADDRESS/PREFIX,GATEWAY)",
                                         found.error().message)});
  }
  return config;
}

Result<std::vector<std::string>> network_drivers(const Root& root, const std::string& interface) {
  const auto names = interfaces_of(root, interface);
  if (names.empty()) {
    return fail(Errc::not_found, "this machine has no interface {}", interface);
  }
  std::vector<std::string> drivers;
  for (const std::string& name : names) {
    const auto some = driver_modules(root, folder_of(name));
    drivers.insert(drivers.end(), some.begin(), some.end());
  }
  return drivers;
}

}  // namespace vmcore::guest
