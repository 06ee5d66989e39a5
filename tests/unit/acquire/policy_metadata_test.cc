// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/libvirt/policy_metadata.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <libvirt/virterror.h>

#include "src/acquire/libvirt/connection.h"

namespace vmcore::acquire {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

TEST(PolicyMetadata, AttributesAreSettings) {
  EXPECT_THAT(read_policy_element("<vmcorectl:policy xmlns:vmcorectl=\"urn:vmcorectl:policy:1\" "
                                  "after-crash=\"restart\" store-size='2&quot;GiB'/>")
                  .value(),
              ElementsAre(Pair("after-crash", "restart"), Pair("store-size", "2\"GiB")));
  EXPECT_THAT(read_policy_element("<policy xmlns='urn:vmcorectl:policy:1'></policy>").value(),
              IsEmpty());
}

TEST(PolicyMetadata, WhatIsNoPolicy) {
  for (const char* const text :
       {"", "<", "<policy", "<other/>", "policy", "<policy><arm>true</arm></policy>",
        "<policy>true</policy>", "<policy/><policy/>"}) {
    const auto settings = read_policy_element(text);
    ASSERT_FALSE(settings) << text;
    EXPECT_EQ(settings.error().code, Errc::malformed) << text;
  }
}

TEST(PolicyMetadata, NothingIsResolved) {
  const auto settings = read_policy_element(
      "<!DOCTYPE p [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><policy a='&e;'/>");
  ASSERT_TRUE(settings) << settings.error().message;
  EXPECT_THAT(*settings, ElementsAre(Pair("a", "&e;")));
}

TEST(PolicyMetadata, IsBounded) {
  EXPECT_EQ(read_policy_element("<policy a='" + std::string(70'000, 'x') + "'/>").error().code,
            Errc::limit);
  std::string many = "<policy";
  for (int i = 0; i < 65; ++i) {
    many += " a" + std::to_string(i) + "='1'";
  }
  EXPECT_EQ(read_policy_element(many + "/>").error().code, Errc::limit);
}

// libvirt's own test driver has a domain.
TEST(PolicyMetadata, OfADomain) {
  virSetErrorFunc(nullptr, [](void*, virErrorPtr) {});
  const auto connection = connect_libvirt("test:///default");
  if (!connection) {
    GTEST_SKIP() << connection.error().message;
  }
  const auto domain = find_domain(connection->get(), "test", LookUp::name);
  ASSERT_TRUE(domain) << domain.error().message;
  const auto none = policy_settings_of(domain->get());
  ASSERT_TRUE(none) << none.error().message;
  EXPECT_THAT(*none, IsEmpty());
  ASSERT_EQ(virDomainSetMetadata(domain->get(), VIR_DOMAIN_METADATA_ELEMENT,
                                 "<policy after-crash='restart'/>", "vmcorectl", kPolicyNamespace,
                                 VIR_DOMAIN_AFFECT_CURRENT),
            0);
  EXPECT_THAT(policy_settings_of(domain->get()).value(),
              ElementsAre(Pair("after-crash", "restart")));
}

}  // namespace
}  // namespace vmcore::acquire
