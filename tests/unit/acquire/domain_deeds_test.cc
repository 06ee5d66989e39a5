// SPDX-License-Identifier: GPL-2.0-or-later
// Deeds on the domain of libvirt's test driver, which lives in this process as long as a connection
// is open.
#include "src/acquire/libvirt/domain_deeds.h"

#include <gtest/gtest.h>

#include "src/acquire/libvirt/connection.h"

namespace vmcore::acquire {
namespace {

constexpr const char* kUri = "test:///default";

class DomainDeedsTest : public testing::Test {
 protected:
  void SetUp() override {
    auto connection = connect_libvirt(kUri);
    ASSERT_TRUE(connection) << connection.error().message;
    connection_ = *std::move(connection);
    domain_.reset(virDomainLookupByName(connection_.get(), "test"));
    ASSERT_TRUE(domain_);
    uuid_ = uuid_of(domain_.get());
  }

  int state() const {
    int state = VIR_DOMAIN_NOSTATE;
    EXPECT_EQ(virDomainGetState(domain_.get(), &state, nullptr, 0), 0);
    return state;
  }
  Result<> act(DomainDeed deed, bool only_if_stopped = true) const {
    return do_to_domain(kUri, uuid_, deed, only_if_stopped);
  }

  LibvirtConnection connection_;
  LibvirtDomain domain_;
  std::string uuid_;
};

TEST_F(DomainDeedsTest, AGuestThatStandsStillRunsAgain) {
  ASSERT_EQ(virDomainSuspend(domain_.get()), 0);
  const auto restarted = act(DomainDeed::restart);
  EXPECT_TRUE(restarted) << restarted.error().message;
  EXPECT_EQ(state(), VIR_DOMAIN_RUNNING);
  ASSERT_EQ(virDomainSuspend(domain_.get()), 0);
  EXPECT_TRUE(act(DomainDeed::resume));
  EXPECT_EQ(state(), VIR_DOMAIN_RUNNING);
}

TEST_F(DomainDeedsTest, AGuestThatSomebodyCarriedOnIsLeftAlone) {
  for (const DomainDeed deed : {DomainDeed::restart, DomainDeed::destroy, DomainDeed::resume}) {
    const auto done = act(deed);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, Errc::guest_state);
  }
  EXPECT_EQ(state(), VIR_DOMAIN_RUNNING);
}

TEST_F(DomainDeedsTest, AGuestThatHasEndedStaysSo) {
  EXPECT_TRUE(act(DomainDeed::destroy, false));
  EXPECT_EQ(state(), VIR_DOMAIN_SHUTOFF);
  const auto again = act(DomainDeed::restart, false);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Errc::guest_state);
}

TEST_F(DomainDeedsTest, AGuestThatIsNotThereHasEnded) {
  const auto done =
      do_to_domain(kUri, "11111111-2222-3333-4444-555555555555", DomainDeed::restart, false);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Errc::guest_state);
}

}  // namespace
}  // namespace vmcore::acquire
