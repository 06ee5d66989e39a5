#include "guest/save/target_stream.h"

#include <gtest/gtest.h>

#include "src/base/little_endian.h"
#include "tests/unit/guest/save/saved_guest.h"

namespace vmcore::guest {
namespace {

using formats::FrameHeader;
using formats::FrameKind;

FrameKind kind_of(std::span<const std::byte> frame) {
  return static_cast<FrameKind>(std::uint32_t{load<FrameHeader>(frame, 0)->kind});
}

TEST(TargetStream, TheLogComesBeforeAnyPage) {
  SavedGuest guest;
  guest.config.tag = "on purpose";
  std::vector<FrameKind> kinds;
  std::string hello;
  const auto outcome = send_stream(
      [&](std::span<const std::byte> frame) -> Result<> {
        if (kinds.empty()) {
          hello.assign(reinterpret_cast<const char*>(frame.data()) + sizeof(FrameHeader),
                       frame.size() - sizeof(FrameHeader));
        }
        if (kinds.empty() || kinds.back() != kind_of(frame)) {
          kinds.push_back(kind_of(frame));
        }
        return {};
      },
      guest.crash());
  ASSERT_TRUE(outcome) << outcome.error().message;
  ASSERT_GE(kinds.size(), 7U);
  EXPECT_EQ(kinds[0], FrameKind::hello);
  EXPECT_EQ(kinds[1], FrameKind::log);
  EXPECT_EQ(kinds[2], FrameKind::alive);  // while it is planned
  EXPECT_EQ(kinds[3], FrameKind::facts);
  EXPECT_EQ(kinds.back(), FrameKind::end);
  const auto decoded = formats::decode_hello(hello);
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(decoded->release, "6.12.0-test");
  EXPECT_EQ(decoded->tag, "on purpose");
  EXPECT_EQ(decoded->crash_time, 1763751093U);
  EXPECT_EQ(decoded->ram.size(), 64U << 20);
}

TEST(TargetStream, ALineThatBreaksWhileItIsPlannedIsAnError) {
  SavedGuest guest;
  const auto outcome = send_stream(
      [](std::span<const std::byte> frame) -> Result<> {
        return kind_of(frame) == FrameKind::alive ? fail(Errc::io, "the host hung up") : Result<>();
      },
      guest.crash());
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().message, "the host hung up");
}

TEST(TargetStream, ALineThatBreaksIsAnError) {
  SavedGuest guest;
  int frames = 0;
  const auto outcome = send_stream(
      [&](std::span<const std::byte>) -> Result<> {
        return ++frames < 4 ? Result<>() : fail(Errc::io, "the host hung up");
      },
      guest.crash());
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, Errc::io);
  EXPECT_EQ(outcome.error().message, "the host hung up");
  EXPECT_EQ(frames, 4);
}

}  // namespace
}  // namespace vmcore::guest
