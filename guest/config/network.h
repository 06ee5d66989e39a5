// What a capture kernel is told of its network: one interface, with an address that it keeps.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "src/base/result.h"

namespace vmcore::guest::config {

struct IpAddress {
  int family = 0;                       // AF_INET, AF_INET6
  std::array<std::byte, 16> storage{};  // in network order; of AF_INET the first four
  std::span<const std::byte> bytes() const;
  bool operator==(const IpAddress&) const = default;
};

// "10.0.2.2", "fd00::1". Errc::invalid where it is none; names are not looked up.
Result<IpAddress> parse_address(std::string_view text);
std::string format_address(const IpAddress& address);

// "10.0.2.2:22", "[fd00::1]:22".
struct Endpoint {
  IpAddress address;
  std::uint16_t port = 0;
  bool operator==(const Endpoint&) const = default;
};
Result<Endpoint> parse_endpoint(std::string_view text);

// "USER@10.0.2.2" with ":PORT" behind it where that is not 22; an IPv6 address in brackets.
struct SshDestination {
  std::string user;
  Endpoint endpoint;
};
Result<SshDestination> parse_ssh_destination(std::string_view text);

// "INTERFACE,ADDRESS/PREFIX" and, where there is a gateway, ",GATEWAY". The interface is named by
// its MAC address or as the kernel names it (eth0): nobody renames it there.
struct Network {
  std::string interface;
  IpAddress address;
  unsigned prefix = 0;
  std::optional<IpAddress> gateway;  // of the family of the address
  bool operator==(const Network&) const = default;
};
Result<Network> parse_network(std::string_view text);
std::string format_network(const Network& network);

}  // namespace vmcore::guest::config
