// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/save/network.h"

#include <net/if.h>
#include <strings.h>
// After the socket header, whose types they need.
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <cerrno>
#include <functional>

#include "guest/save/folder.h"
#include "guest/save/netlink.h"
#include "guest/save/wait_until.h"
#include "src/base/little_endian.h"
#include "src/base/whole_file.h"

namespace vmcore::guest::save {
namespace {

constexpr const char* kInterfaces = "/sys/class/net";
constexpr std::chrono::seconds kInterfaceWait{10};
constexpr std::chrono::seconds kCarrierWait{15};

std::string attribute_of(const std::string& interface, const char* name) {
  return first_line(fmt::format("{}/{}/{}", kInterfaces, interface, name));
}

Result<> done_or_there(const Result<std::vector<std::byte>>& answer, std::string_view what) {
  return answer || answer.error().code == Errc::exists ? Result<>()
                                                       : in_context(answer.error(), what);
}

constexpr std::uint16_t kMake = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;

Result<> set_up(int index) {
  ifinfomsg body{};
  body.ifi_index = index;
  body.ifi_flags = IFF_UP;
  body.ifi_change = IFF_UP;
  return done_or_there(ask_netlink(RTM_NEWLINK, NLM_F_ACK, as_bytes(body), {}), "bring up");
}

Result<> add_address(int index, const config::Network& network) {
  ifaddrmsg body{};
  body.ifa_family = static_cast<unsigned char>(network.address.family);
  body.ifa_prefixlen = static_cast<unsigned char>(network.prefix);
  body.ifa_flags = IFA_F_NODAD;  // it was this machine's before
  body.ifa_index = static_cast<unsigned>(index);
  const auto address = network.address.bytes();
  return done_or_there(ask_netlink(RTM_NEWADDR, kMake, as_bytes(body),
                                   {{IFA_LOCAL, address}, {IFA_ADDRESS, address}}),
                       config::format_address(network.address));
}

Result<> add_route(int index, const config::IpAddress& gateway) {
  rtmsg body{};
  body.rtm_family = static_cast<unsigned char>(gateway.family);
  body.rtm_table = RT_TABLE_MAIN;
  body.rtm_protocol = RTPROT_STATIC;
  body.rtm_scope = RT_SCOPE_UNIVERSE;
  body.rtm_type = RTN_UNICAST;
  body.rtm_flags = RTNH_F_ONLINK;  // clouds give addresses of /32
  return done_or_there(ask_netlink(RTM_NEWROUTE, kMake, as_bytes(body),
                                   {{RTA_GATEWAY, gateway.bytes()}, {RTA_OIF, as_bytes(index)}}),
                       "route via " + config::format_address(gateway));
}

Result<> bring_up_interface(const std::string& name, const config::Network& network,
                            const Heartbeat& heartbeat) {
  const auto index = static_cast<int>(::if_nametoindex(name.c_str()));
  if (index == 0) {
    return fail_errno(errno, "it disappeared");
  }
  TRY(set_up(index));
  // Continues without a carrier, because not every driver reports it.
  wait_until([&] { return attribute_of(name, "carrier") == "1"; }, kCarrierWait,
             std::cref(heartbeat));
  TRY(add_address(index, network));
  return network.gateway ? add_route(index, *network.gateway) : Result<>();
}

}  // namespace

std::string find_interface(const std::string& name_or_mac) {
  const std::vector<std::string> names = names_in(kInterfaces);
  const auto found = std::ranges::find_if(names, [&](const std::string& name) {
    return name == name_or_mac ||
           ::strcasecmp(attribute_of(name, "address").c_str(), name_or_mac.c_str()) == 0;
  });
  return found == names.end() ? "" : *found;
}

Result<> bring_up(const config::Network& network, const Heartbeat& heartbeat) {
  std::string name;
  if (!wait_until([&] { return !(name = find_interface(network.interface)).empty(); },
                  kInterfaceWait, std::cref(heartbeat))) {
    return fail(Errc::not_found, "this machine has no network interface {}", network.interface);
  }
  auto up = bring_up_interface(name, network, heartbeat);
  return up ? up : in_context(std::move(up).error(), "network interface " + name);
}

}  // namespace vmcore::guest::save
