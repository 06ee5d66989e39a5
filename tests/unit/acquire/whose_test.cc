// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/qmp/whose.h"

#include <gtest/gtest.h>

#include <map>

#include "src/acquire/libvirt/emulator.h"

namespace vmcore::acquire {
namespace {

using qmp::Json;

// A monitor that answers so; what it does not know is Errc::unsupported.
Execute monitor(std::map<std::string, Json> answers) {
  return [answers = std::move(answers)](const std::string& command, const Json&) -> Result<Json> {
    const auto found = answers.find(command);
    return found != answers.end() ? Result<Json>(found->second)
                                  : fail(Errc::unsupported, "no such command");
  };
}

TEST(AskIdentity, WhatQemuTells) {
  const GuestIdentity identity = ask_identity(monitor(
      {{"query-name", {{"name", "vm1"}}},
       {"query-uuid", {{"UUID", "1b4e28ba-2fa1-11d2-883f-0016d3cca427"}}},
       {"query-version",
        {{"qemu", {{"major", 7U}, {"minor", 2U}, {"micro", 22U}}}, {"package", "Debian"}}}}));
  EXPECT_EQ(identity,
            (GuestIdentity{
                .name = "vm1", .uuid = "1b4e28ba-2fa1-11d2-883f-0016d3cca427", .qemu = "7.2.22"}));
}

TEST(AskIdentity, WhatQemuDoesNotTellIsEmpty) {
  EXPECT_EQ(ask_identity(monitor({})), GuestIdentity{});
  EXPECT_EQ(
      ask_identity(monitor({{"query-name", Json::object()},
                            {"query-uuid", {{"UUID", "00000000-0000-0000-0000-000000000000"}}},
                            {"query-version", {{"qemu", 7}}}})),
      GuestIdentity{});
  EXPECT_EQ(ask_version(monitor({{"query-version", {{"qemu", {{"major", "7"}}}}}})), "");
}

TEST(Emulator, IsFoundInDomainCapabilities) {
  EXPECT_EQ(emulator_in("<domainCapabilities><path>/usr/bin/qemu-system-x86_64</path>"
                        "<domain>kvm</domain></domainCapabilities>"),
            "/usr/bin/qemu-system-x86_64");
  EXPECT_EQ(emulator_in(""), "");
  EXPECT_EQ(emulator_in("<domain/>"), "");
}

}  // namespace
}  // namespace vmcore::acquire
