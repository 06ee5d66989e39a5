// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/config/network.h"

#include <arpa/inet.h>

#include "src/base/number.h"

namespace vmcore::guest::config {
namespace {

Result<unsigned> number(std::string_view text, unsigned most, std::string_view what) {
  const auto value = parse_number<unsigned>(text);
  if (!value || *value > most) {
    return fail(Errc::invalid, "\"{}\" is not a {}", text, what);
  }
  return *value;
}

std::string_view without_brackets(std::string_view text) {
  return text.starts_with('[') && text.ends_with(']') ? text.substr(1, text.size() - 2) : text;
}

}  // namespace

std::span<const std::byte> IpAddress::bytes() const {
  return std::span(storage).first(family == AF_INET ? 4 : 16);
}

Result<IpAddress> parse_address(std::string_view text) {
  IpAddress address;
  for (const int family : {AF_INET, AF_INET6}) {
    if (::inet_pton(family, std::string(text).c_str(), address.storage.data()) == 1) {
      address.family = family;
      return address;
    }
  }
  return fail(Errc::invalid, "\"{}\" is not an IP address", text);
}

std::string format_address(const IpAddress& address) {
  char text[INET6_ADDRSTRLEN] = "";
  ::inet_ntop(address.family, address.storage.data(), text, sizeof text);
  return text;
}

Result<Endpoint> parse_endpoint(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == text.npos) {
    return fail(Errc::invalid, "\"{}\" is not ADDRESS:PORT", text);
  }
  TRY_ASSIGN(const IpAddress address, parse_address(without_brackets(text.substr(0, colon))));
  TRY_ASSIGN(const unsigned port, number(text.substr(colon + 1), 65535, "port number"));
  return Endpoint{address, static_cast<std::uint16_t>(port)};
}

Result<SshDestination> parse_ssh_destination(std::string_view text) {
  const std::size_t at = text.find('@');
  if (at == 0 || at == text.npos || text.front() == '-') {
    return fail(Errc::invalid, "\"{}\" is not USER@ADDRESS or USER@ADDRESS:PORT", text);
  }
  const std::string_view host = text.substr(at + 1);
  SshDestination to{.user = std::string(text.substr(0, at)), .endpoint = {}};
  if (const auto address = parse_address(without_brackets(host))) {
    to.endpoint = {*address, 22};
    return to;
  }
  TRY_ASSIGN(to.endpoint, parse_endpoint(host));
  return to;
}

Result<Network> parse_network(std::string_view text) {
  const std::size_t comma = text.find(',');
  const std::size_t slash = text.find('/');
  const std::size_t second = std::min(text.find(',', slash), text.size());
  if (comma == text.npos || comma == 0 || comma > slash || slash == text.npos) {
    return fail(Errc::invalid, "\"{}\" is not INTERFACE,ADDRESS/PREFIX[,GATEWAY]", text);
  }
  Network network{.interface = std::string(text.substr(0, comma)), .address = {}, .gateway = {}};
  TRY_ASSIGN(network.address, parse_address(text.substr(comma + 1, slash - comma - 1)));
  const auto bits = static_cast<unsigned>(network.address.bytes().size() * 8);
  TRY_ASSIGN(network.prefix,
             number(text.substr(slash + 1, second - slash - 1), bits, "prefix length"));
  if (second != text.size()) {
    TRY_ASSIGN(network.gateway, parse_address(text.substr(second + 1)));
    if (network.gateway->family != network.address.family) {
      return fail(Errc::invalid,
                  "\"{}\": the address and the gateway must both be IPv4 or both IPv6", text);
    }
  }
  return network;
}

std::string format_network(const Network& network) {
  return fmt::format("{},{}/{}{}{}", network.interface, format_address(network.address),
                     network.prefix, network.gateway ? "," : "",
                     network.gateway ? format_address(*network.gateway) : "");
}

}  // namespace vmcore::guest::config
