#include "guest/setup/find_network.h"

#include <gtest/gtest.h>

namespace vmcore::guest {
namespace {

TEST(FindNetwork, LoopbackIsReachedByItself) {
  const auto network = find_network(*parse_address("127.0.0.1"));
  ASSERT_TRUE(network) << network.error().message;
  EXPECT_EQ(format_network(*network), "00:00:00:00:00:00,127.0.0.1/8");
}

TEST(FindNetwork, IsLeftAloneWhereItIsToldOrNotNeeded) {
  const auto root = Root::open("/");
  std::vector<Remark> remarks;
  CaptureConfig config;
  EXPECT_EQ(with_network(*root, config, remarks), config);
  config.targets = {{"tcp", "127.0.0.1:1"}};
  config.network = *parse_network("eth0,10.0.2.15/24");
  EXPECT_EQ(with_network(*root, config, remarks), config);
  EXPECT_TRUE(remarks.empty());
}

}  // namespace
}  // namespace vmcore::guest
