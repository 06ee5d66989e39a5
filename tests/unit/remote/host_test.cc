// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/remote/host.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdio>

namespace vmcore::remote {
namespace {

using Words = std::vector<std::string>;

TEST(RemoteHost, WhatSshNeeds) {
  const auto plain = parse_remote_uri("qemu+ssh://far.example/system");
  ASSERT_TRUE(plain) << plain.error().message;
  EXPECT_EQ(plain->name, "far.example");
  EXPECT_EQ(plain->ssh, (Words{"ssh", "-T", "--", "far.example"}));
  EXPECT_EQ(plain->uri, "qemu:///system");

  const auto full = parse_remote_uri("qemu+libssh2://r%40x@far:2222/session");
  ASSERT_TRUE(full) << full.error().message;
  EXPECT_EQ(full->ssh, (Words{"ssh", "-T", "-l", "r@x", "-p", "2222", "--", "far"}));
  EXPECT_EQ(full->uri, "qemu:///session");
}

TEST(RemoteHost, AnAddressOfIpVersion6) {
  EXPECT_EQ(parse_remote_uri("qemu+ssh://[fe80::1]/system")->ssh.back(), "fe80::1");
  const auto with_port = parse_remote_uri("qemu+ssh://root@[::1]:22/system");
  EXPECT_EQ(with_port->ssh, (Words{"ssh", "-T", "-l", "root", "-p", "22", "--", "::1"}));
}

TEST(RemoteHost, Parameters) {
  const auto host = parse_remote_uri(
      "qemu+ssh://far/system?command=/opt/my%20ssh&keyfile=/k&no_tty=1&no_verify=1&netcat=nc&"
      "socket=/run/x");
  ASSERT_TRUE(host) << host.error().message;
  EXPECT_EQ(host->ssh, (Words{"/opt/my ssh", "-T", "-i", "/k", "-o", "BatchMode=yes", "-o",
                              "StrictHostKeyChecking=no", "--", "far"}));
  EXPECT_EQ(host->uri, "qemu:///system?socket=/run/x");
  EXPECT_EQ(parse_remote_uri("qemu+ssh://far/system?no_tty=0")->ssh.size(), 4U);
}

TEST(RemoteHost, WhatIsNone) {
  for (const char* uri :
       {"", "qemu:///system", "qemu://far/system", "qemu+tls://far/system", "qemu+unix:///system",
        "+ssh://far/system", "qemu+ssh:far", "qemu+ssh:///system",
        "qemu+ssh://-oProxyCommand=x/system", "qemu+ssh://user@/system", "qemu+ssh://far:2x/system",
        "qemu+ssh://%2doProxyCommand=x/system"}) {
    const auto host = parse_remote_uri(uri);
    ASSERT_FALSE(host) << uri;
    EXPECT_EQ(host.error().code, Errc::invalid);
  }
}

}  // namespace
}  // namespace vmcore::remote
