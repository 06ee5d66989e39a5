// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/commands.h"

#include <gtest/gtest.h>

namespace vmcore::acquire {
namespace {

const Selection kDomain{.domain = "vm1"};
const Selection kWithUri{.uri = "qemu:///system", .domain = "vm1"};
const Selection kMonitor{.socket = "/run/a b.qmp"};
constexpr const char* kHostile = "a;touch pwned";

TEST(Commands, OfADomain) {
  EXPECT_EQ(virsh_command(kDomain, "domjobinfo", "vm1"), "virsh domjobinfo vm1");
  EXPECT_EQ(virsh_command(kDomain, "set-lifecycle-action", "vm1", "crash preserve --live"),
            "virsh set-lifecycle-action vm1 crash preserve --live");
  EXPECT_EQ(vmcorectl_command(kDomain, "check --fix", "vm1"), "vmcorectl check --fix vm1");
}

TEST(Commands, TheConnectionThatWasGivenIsRepeated) {
  EXPECT_EQ(virsh_command(kWithUri, "start", "vm1"), "virsh -c qemu:///system start vm1");
  EXPECT_EQ(vmcorectl_command(kWithUri, "check --fix", "vm1"),
            "vmcorectl check --fix -c qemu:///system vm1");
  const Selection odd{.uri = "qemu:///system?socket=/run/x;touch pwned", .domain = "vm1"};
  EXPECT_EQ(virsh_command(odd, "start", "vm1"),
            "virsh -c 'qemu:///system?socket=/run/x;touch pwned' start vm1");
}

// Whoever reads what the other end of --remote says sits at this one.
TEST(Commands, OfAnotherHostAreForTheHostThatAsked) {
  const Selection far{
      .uri = "qemu:///system", .domain = "vm1", .asked_as = "qemu+ssh://root@far/system"};
  EXPECT_EQ(virsh_command(far, "destroy", "vm1"),
            "virsh -c qemu+ssh://root@far/system destroy vm1");
  EXPECT_EQ(vmcorectl_command(far, "check --fix", "vm1"),
            "vmcorectl check --fix -c qemu+ssh://root@far/system --remote vm1");
}

TEST(Commands, NamesAreQuoted) {
  EXPECT_EQ(virsh_command(kDomain, "start", kHostile), "virsh start 'a;touch pwned'");
  EXPECT_EQ(vmcorectl_command(kDomain, "dump", kHostile), "vmcorectl dump 'a;touch pwned'");
  EXPECT_EQ(vmcorectl_command(kMonitor, "dump", ""), "vmcorectl dump --qmp '/run/a b.qmp'");
  EXPECT_EQ(virsh_command(kDomain, "start", "a\nb"), "virsh start $'a\\012b'");
}

TEST(Commands, NamesAreNoOptions) {
  EXPECT_EQ(virsh_command(kDomain, "destroy", "--help"), "virsh destroy --domain --help");
  EXPECT_EQ(vmcorectl_command(kDomain, "dump", "--help"), "vmcorectl dump -- --help");
}

TEST(Commands, NamesAreNotTakenForAnotherDomains) {
  const std::string uuid = "8f5d5a1e-0d5c-4c8e-9e55-2d6d2c1b0a3f";
  for (const char* const name :
       {"5", "0", "8f5d5a1e-0d5c-4c8e-9e55-2d6d2c1b0a3e", "8f5d5a1e0d5c4c8e9e552d6d2c1b0a3e"}) {
    EXPECT_EQ(handle_of(name, uuid), uuid) << name;
  }
  for (const char* const name : {"vm1", "5x", "a;b", "cafe", "1-2"}) {
    EXPECT_EQ(handle_of(name, uuid), name);
  }
  EXPECT_EQ(handle_of("5", ""), "5");
}

TEST(Commands, WhatIsDoneByHand) {
  EXPECT_EQ(by_hand(kWithUri, Then::destroy, kHostile),
            "virsh -c qemu:///system destroy 'a;touch pwned'");
  EXPECT_EQ(by_hand(kDomain, Then::resume, "vm1"), "virsh resume vm1");
  EXPECT_EQ(by_hand(kDomain, Then::reset, "vm1"), "virsh reset vm1 && virsh resume vm1");
  EXPECT_EQ(by_hand(kMonitor, Then::destroy, ""), "the QMP command quit to /run/a b.qmp");
  EXPECT_EQ(by_hand(kMonitor, Then::reset, ""),
            "the QMP commands system_reset and cont to /run/a b.qmp");
  EXPECT_EQ(by_hand(kDomain, Then::nothing, "vm1"), "");
}

}  // namespace
}  // namespace vmcore::acquire
