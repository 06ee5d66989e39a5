// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/image/find_network.h"

#include <gtest/gtest.h>

#include "tests/unit/guest/folder_root.h"

namespace vmcore::guest::image {
namespace {

TEST(FindNetwork, LoopbackIsReachedByItself) {
  const auto network = find_network(*config::parse_address("127.0.0.1"));
  ASSERT_TRUE(network) << network.error().message;
  EXPECT_EQ(config::format_network(network->network), "00:00:00:00:00:00,127.0.0.1/8");
  EXPECT_EQ(network->name, "lo");
}

TEST(CheckInterface, MustHaveACard) {
  const FolderRoot folder;
  const std::string all = "/sys/class/net/";
  for (const auto& [name, mac] :
       {std::pair("eth0", "52:54:00:aa:00:01"), std::pair("br0", "52:54:00:aa:00:01"),
        std::pair("eth0.5", "52:54:00:aa:00:01"), std::pair("dummy0", "52:54:00:aa:00:02")}) {
    folder.write(all + name + "/address", mac + std::string("\n"));
    folder.write(all + name + "/uevent", "INTERFACE=x\n");
  }
  folder.write(all + "eth0/device/vendor", "0x1af4\n");
  folder.write(all + "eth0.5/uevent", "DEVTYPE=vlan\nINTERFACE=eth0.5\n");
  folder.write(all + "tun0/uevent", "INTERFACE=tun0\n");
  EXPECT_TRUE(check_interface(folder.root(), "eth0"));
  EXPECT_TRUE(check_interface(folder.root(), "br0"));
  EXPECT_EQ(check_interface(folder.root(), "eth0.5").error().message,
            "eth0.5 is a VLAN, which the capture kernel does not set up");
  EXPECT_EQ(check_interface(folder.root(), "dummy0").error().code, Errc::unsupported);
  EXPECT_EQ(check_interface(folder.root(), "tun0").error().code, Errc::unsupported);
}

TEST(FindNetwork, ThatOfAnImageIsNotKnown) {
  const FolderRoot folder;
  folder.write(std::string(kNetworkFile), "eth0,10.0.2.15/24\n");
  std::vector<Remark> remarks;
  config::CaptureConfig config;
  config.targets = {{"tcp", "127.0.0.1:1"}};
  EXPECT_EQ(with_network(folder.root(), config, remarks), config);
  ASSERT_EQ(remarks.size(), 1U);
  EXPECT_NE(remarks.front().text.find("network = INTERFACE,"), std::string::npos);
}

TEST(NetworkDrivers, OfAnInterfaceByItsNameOrAddress) {
  const FolderRoot folder;
  folder.write("/sys/class/net/eth0/address", "52:54:00:aa:00:01\n");
  folder.link("/sys/class/net/eth0/driver/module", "/sys/module/virtio_net");
  for (const char* const interface : {"eth0", "52:54:00:AA:00:01"}) {
    EXPECT_EQ(network_drivers(folder.root(), interface), std::vector<std::string>{"virtio_net"});
  }
  EXPECT_EQ(network_drivers(folder.root(), "eth1").error().code, Errc::not_found);
}

TEST(ChooseNetwork, OneThatLeadsToAllOrSaysToWhom) {
  const auto way = [](const std::string& target, const std::string& network) {
    return Way{target, config::parse_network(network)};
  };
  const auto near = way("tcp:10.0.2.3:1", "52:54:00:aa:00:01,10.0.2.15/24");
  const auto far = way("ssh:me@192.0.2.1", "52:54:00:aa:00:01,10.0.2.15/24,10.0.2.2");
  for (const auto& both : {std::vector{near, far}, std::vector{far, near}}) {
    const ChosenNetwork chosen = choose_network(both);
    EXPECT_EQ(chosen.network, *far.network);
    EXPECT_TRUE(chosen.remarks.empty());
  }
  for (const char* const another :
       {"52:54:00:aa:00:01,10.0.2.15/24,10.0.2.9", "52:54:00:aa:00:02,10.0.2.15/24,10.0.2.2",
        "52:54:00:aa:00:01,10.0.2.16/24,10.0.2.2", "52:54:00:aa:00:01,2001:db8::1/64"}) {
    const ChosenNetwork chosen = choose_network({far, way("tcp:198.51.100.1:1", another), near});
    EXPECT_EQ(chosen.network, *far.network);
    ASSERT_EQ(chosen.remarks.size(), 1U);
    EXPECT_EQ(chosen.remarks.front().text,
              "target tcp:198.51.100.1:1: its network is " + std::string(another) +
                  ", but the capture kernel sets up only one, that of the targets before it: "
                  "52:54:00:aa:00:01,10.0.2.15/24,10.0.2.2");
  }
}

TEST(ChooseNetwork, ATargetWithoutAWayIsToldAndCostsNoOther) {
  const Way none{"tcp:198.51.100.1:1", fail(Errc::not_found, "no route")};
  const Way near{"tcp:10.0.2.3:1", config::parse_network("eth0,10.0.2.15/24")};
  const ChosenNetwork chosen = choose_network({none, near});
  EXPECT_EQ(chosen.network, *near.network);
  ASSERT_EQ(chosen.remarks.size(), 1U);
  EXPECT_EQ(chosen.remarks.front().code, Errc::not_found);
  EXPECT_EQ(chosen.remarks.front().text.find(
                "target tcp:198.51.100.1:1: no route: run vmcore-guest load when"),
            0U);
  EXPECT_FALSE(choose_network({}).network);
}

TEST(FindNetwork, IsLeftAloneWhereItIsToldOrNotNeeded) {
  const auto root = root::Root::open("/");
  std::vector<Remark> remarks;
  config::CaptureConfig config;
  EXPECT_EQ(with_network(*root, config, remarks), config);
  EXPECT_FALSE(follows_network(config));
  config.targets = {{"tcp", "127.0.0.1:1"}};
  EXPECT_TRUE(follows_network(config));
  config.network = *config::parse_network("eth0,10.0.2.15/24");
  EXPECT_EQ(with_network(*root, config, remarks), config);
  EXPECT_TRUE(remarks.empty());
}

}  // namespace
}  // namespace vmcore::guest::image
