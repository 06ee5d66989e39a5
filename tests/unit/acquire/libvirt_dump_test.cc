// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/libvirt/dump.h"

#include <gtest/gtest.h>

namespace vmcore::acquire {
namespace {

using namespace std::chrono_literals;

// libvirt's own test driver, whose domain "test" runs.
class PauseWatchTest : public testing::Test {
 protected:
  void SetUp() override {
    auto connection = connect_libvirt("test:///default");
    ASSERT_TRUE(connection) << connection.error().message;
    connection_ = *std::move(connection);
    auto domain = find_domain(connection_.get(), "test", LookUp::name);
    ASSERT_TRUE(domain) << domain.error().message;
    domain_ = *std::move(domain);
  }
  void watch() {
    auto watch = PauseWatch::start(connection_.get(), domain_.get());
    ASSERT_TRUE(watch) << watch.error().message;
    watch_ = *std::move(watch);
  }

  LibvirtConnection connection_;
  LibvirtDomain domain_;
  std::unique_ptr<PauseWatch> watch_;
};

TEST_F(PauseWatchTest, TellsHowLongADomainStoodStill) {
  watch();
  ASSERT_EQ(virDomainSuspend(domain_.get()), 0);
  ASSERT_EQ(virDomainResume(domain_.get()), 0);
  const auto pause = watch_->wait_resumed(10s);
  ASSERT_TRUE(pause) << pause.error().message;
  EXPECT_GT(pause->count(), 0);
}

TEST_F(PauseWatchTest, NoticesADomainThatDoesNotRunAgain) {
  watch();
  ASSERT_EQ(virDomainSuspend(domain_.get()), 0);
  const auto pause = watch_->wait_resumed(2s);
  ASSERT_FALSE(pause);
  EXPECT_EQ(pause.error().code, Errc::guest_state);
}

TEST_F(PauseWatchTest, DoesNotWaitForADomainThatStoodStillBefore) {
  ASSERT_EQ(virDomainSuspend(domain_.get()), 0);
  watch();
  const auto before = std::chrono::steady_clock::now();
  const auto pause = watch_->wait_resumed(60s);
  EXPECT_LT(std::chrono::steady_clock::now() - before, 30s);
  ASSERT_TRUE(pause) << pause.error().message;
  EXPECT_EQ(pause->count(), 0);
}

}  // namespace
}  // namespace vmcore::acquire
