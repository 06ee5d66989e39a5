// SPDX-License-Identifier: GPL-2.0-or-later
// The network settings of a capture kernel: one interface with a fixed address.
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
  std::array<std::byte, 16> storage{};  // in network order; AF_INET uses the first four
  std::span<const std::byte> bytes() const;
  bool operator==(const IpAddress&) const = default;
};

// "10.0.2.2", "fd00::1". Errc::invalid for other text; names are not resolved.
Result<IpAddress> parse_address(std::string_view text);
std::string format_address(const IpAddress& address);

// "10.0.2.2:22", "[fd00::1]:22".
struct Endpoint {
  IpAddress address;
  std::uint16_t port = 0;
  bool operator==(const Endpoint&) const = default;
};
Result<Endpoint> parse_endpoint(std::string_view text);

// "USER@ADDRESS" or "USER@ADDRESS:PORT" (default: 22); an IPv6 address with a port in brackets.
struct SshDestination {
  std::string user;
  Endpoint endpoint;
};
Result<SshDestination> parse_ssh_destination(std::string_view text);

// "INTERFACE,ADDRESS/PREFIX" or "INTERFACE,ADDRESS/PREFIX,GATEWAY". The interface is a MAC address
// or the name that the kernel gives it (eth0): a capture kernel has no udev that renames it.
struct Network {
  std::string interface;
  IpAddress address;
  unsigned prefix = 0;
  std::optional<IpAddress> gateway;  // of the same family as the address
  bool operator==(const Network&) const = default;
};
Result<Network> parse_network(std::string_view text);
std::string format_network(const Network& network);

}  // namespace vmcore::guest::config
