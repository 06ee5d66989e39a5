// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/config/network.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

namespace vmcore::guest::config {
namespace {

TEST(Network, IsReadBack) {
  for (const char* const text : {"52:54:00:12:34:56,10.0.2.15/24,10.0.2.2", "eth0,10.0.2.15/32",
                                 "eth1,fd00::15/64,fe80::1", "eth0,0.0.0.0/0"}) {
    const auto network = parse_network(text);
    ASSERT_TRUE(network) << network.error().message;
    EXPECT_EQ(format_network(*network), text);
  }
  const auto network = parse_network("52:54:00:12:34:56,10.0.2.15/24,10.0.2.2");
  EXPECT_EQ(network->interface, "52:54:00:12:34:56");
  EXPECT_EQ(network->prefix, 24U);
  EXPECT_EQ(network->address.family, AF_INET);
  EXPECT_EQ(network->address.bytes().size(), 4U);
  EXPECT_EQ(network->address.bytes()[3], std::byte{15});
  EXPECT_EQ(network->gateway, *parse_address("10.0.2.2"));
}

TEST(Network, OrIsRefused) {
  for (const char* const text :
       {"", ",", "eth0", "eth0,10.0.2.15", "10.0.2.15/24", ",10.0.2.15/24", "eth0,10.0.2/24",
        "eth0,10.0.2.15/33", "eth0,10.0.2.15/", "eth0,10.0.2.15/x", "eth0,fd00::1/129",
        "eth0,10.0.2.15/24,", "eth0,10.0.2.15/24,host", "eth0,10.0.2.15/24,fd00::1",
        "eth0,10.0.2.15/24,10.0.2.2,10.0.2.3"}) {
    EXPECT_EQ(parse_network(text).error().code, Errc::invalid) << text;
  }
}

TEST(Endpoint, IsAnAddressAndAPort) {
  EXPECT_EQ(parse_endpoint("10.0.2.2:22"), (Endpoint{*parse_address("10.0.2.2"), 22}));
  EXPECT_EQ(parse_endpoint("[fd00::1]:65535"), (Endpoint{*parse_address("fd00::1"), 65535}));
  for (const char* const text : {"", "10.0.2.2", "10.0.2.2:", "host:22", "10.0.2.2:65536", ":22",
                                 "10.0.2.2:22x", "[fd00::1]"}) {
    EXPECT_EQ(parse_endpoint(text).error().code, Errc::invalid) << text;
  }
}

}  // namespace
}  // namespace vmcore::guest::config
