// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/process/identity.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

namespace vmcore::acquire {
namespace {

constexpr Voucher kUser{1000, 100};

ProcessIdentity of_user() {
  return {.uids = {1000, 1000, 1000, 1000},
          .gids = {100, 100, 100, 100},
          .capabilities = 0,
          .owner = 1000,
          .programs = {"libc.so.6", "qemu-system-x86_64"}};
}

TEST(ProcessIdentity, AUserVouchesForWhatTheyCouldRead) {
  EXPECT_TRUE(check_identity(of_user(), kUser));
}

TEST(ProcessIdentity, AUserDoesNotVouchForMore) {
  const auto refused = [](auto change) {
    ProcessIdentity process = of_user();
    change(process);
    const auto checked = check_identity(process, kUser);
    return !checked && checked.error().code == Errc::denied;
  };
  for (std::size_t i = 0; i < 4; ++i) {  // real, effective, saved, of file systems
    EXPECT_TRUE(refused([&](ProcessIdentity& process) { process.uids[i] = 0; })) << i;
    EXPECT_TRUE(refused([&](ProcessIdentity& process) { process.gids[i] = 42; })) << i;
  }
  EXPECT_TRUE(refused([](ProcessIdentity& process) { process.uids.fill(1001); }));
  EXPECT_TRUE(refused([](ProcessIdentity& process) { process.uids.fill(0); }));
  EXPECT_TRUE(refused([](ProcessIdentity& process) { process.gids.fill(42); }));  // was set-gid
  EXPECT_TRUE(refused([](ProcessIdentity& process) { process.capabilities = 1; }));
  // It was set-uid root, and is not any more: the kernel still guards it.
  EXPECT_TRUE(refused([](ProcessIdentity& process) { process.owner = 0; }));
}

// -run-with user=: root made the socket, and became somebody else.
TEST(ProcessIdentity, RootVouchesForAnyQemu) {
  ProcessIdentity process = of_user();
  process.owner = 0;
  EXPECT_TRUE(check_identity(process, {0, 0}));
  process.programs = {"systemd", "libc.so.6"};
  EXPECT_EQ(check_identity(process, {0, 0}).error().code, Errc::unsupported);
}

TEST(ProcessIdentity, WhatIsAQemu) {
  for (const char* name :
       {"qemu-system-x86_64", "qemu-kvm", "kvm", ".qemu-system-x86_64-wrapped"}) {
    EXPECT_TRUE(is_qemu(name)) << name;
  }
  for (const char* name : {"", "su", "libvirt_driver_qemu.so", "virtqemud", "qemu-ga", "qemu-nbd",
                           "kvmtool", "socat"}) {
    EXPECT_FALSE(is_qemu(name)) << name;
  }
  EXPECT_EQ(check_identity({}, {0, 0}).error().code, Errc::unsupported);
}

TEST(ProcessIdentity, IsReadFromProc) {
  const auto own = identity_of(::getpid());
  ASSERT_TRUE(own) << own.error().message;
  EXPECT_EQ(own->uids[0], ::getuid());
  EXPECT_EQ(own->uids[3], ::geteuid());
  EXPECT_EQ(own->gids[1], ::getegid());
  EXPECT_NE(std::ranges::find(own->programs, "unit_acquire"), own->programs.end());
  EXPECT_EQ(identity_of(0x7fff'ffff).error().code, Errc::not_found);
}

}  // namespace
}  // namespace vmcore::acquire
