// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/save/target_kinds.h"

#include <gtest/gtest.h>

namespace vmcore::guest::save {
namespace {

TEST(TargetKinds, AnUnknownKindIsRefusedWithThoseThatThereAre) {
  const auto kind = find_target("carrier-pigeon");
  ASSERT_FALSE(kind);
  EXPECT_EQ(kind.error().code, Errc::invalid);
  for (const std::string_view form : target_forms()) {
    EXPECT_NE(kind.error().message.find(form), std::string::npos) << kind.error().message;
  }
  EXPECT_EQ(place_of({"carrier-pigeon", ""}), std::nullopt);
}

TEST(TargetKinds, EachFormBeginsWithItsKind) {
  for (const std::string_view form : target_forms()) {
    const auto kind = find_target(form.substr(0, form.find_first_of(":[")));
    ASSERT_TRUE(kind) << form;
    EXPECT_EQ((*kind)->form, form);
  }
}

TEST(TargetKinds, TheOutputOfSaveIsNoTargetOfAConfiguration) {
  EXPECT_EQ(place_of({"output", "/tmp/vmcore"}), Place::file);
  for (const std::string_view form : target_forms()) {
    EXPECT_FALSE(form.starts_with("output"));
  }
}

TEST(TargetKinds, WhereIsChecked) {
  EXPECT_TRUE((*find_target("vsock"))->check("30317"));
  EXPECT_FALSE((*find_target("vsock"))->check("host"));
  EXPECT_FALSE((*find_target("tcp"))->check("192.0.2.1"));
  EXPECT_FALSE((*find_target("ssh"))->check("192.0.2.1"));
  EXPECT_FALSE((*find_target("file"))->check("UUID=12"));
  EXPECT_FALSE((*find_target("raw"))->check("LABEL=crash"));
}

TEST(TargetKinds, OnlyTargetsOnTheNetworkHaveAnAddress) {
  const auto address = *config::parse_address("192.0.2.1");
  EXPECT_EQ(network_address_of({"tcp", "192.0.2.1:30317"}), address);
  EXPECT_EQ(network_address_of({"ssh", "root@192.0.2.1"}), address);
  EXPECT_EQ(network_address_of({"ssh", "root@example.org"}), std::nullopt);
  EXPECT_EQ(network_address_of({"file", "192.0.2.1:30317"}), std::nullopt);
  EXPECT_EQ(network_address_of({"port", ""}), std::nullopt);
}

TEST(TargetKinds, OnlyTargetsOnADiskHaveADevice) {
  EXPECT_EQ(device_of({"file", "UUID=12:/crash"}), "UUID=12");
  EXPECT_EQ(device_of({"raw", "/dev/vdb"}), "/dev/vdb");
  EXPECT_EQ(device_of({"port", "/dev/vdb"}), "");
}

}  // namespace
}  // namespace vmcore::guest::save
