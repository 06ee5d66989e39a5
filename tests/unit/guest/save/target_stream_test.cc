// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/save/target_stream.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "src/base/little_endian.h"
#include "src/base/sys.h"
#include "tests/unit/guest/save/saved_guest.h"

namespace vmcore::guest::save {
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

// By whatever way it would go.
TEST(TargetStream, NothingGoesThatIsSealedToNobody) {
  SavedGuest guest;
  guest.config.sealed_to_nobody = true;
  int frames = 0;
  const auto outcome = send_stream(
      [&](std::span<const std::byte>) -> Result<> {
        ++frames;
        return {};
      },
      guest.crash());
  ASSERT_FALSE(outcome);
  EXPECT_EQ(frames, 0);
  for (const auto& [save, where] :
       std::vector<std::pair<SaveTo, std::string>>{{save_to_tcp, "192.0.2.1:1"},
                                                   {save_to_ssh, "me@192.0.2.1"},
                                                   {save_to_device, "/dev/null"}}) {
    const auto saved = save(where, guest.crash());
    ASSERT_FALSE(saved);
    EXPECT_EQ(saved.error().message, outcome.error().message);
  }
  EXPECT_EQ(outcome.error().message, "the key in encrypt-to is invalid: nothing is sent unsealed");
}

TEST(TargetStream, AHostIsToldWhyItGetsNothing) {
  SavedGuest guest;
  guest.config.sealed_to_nobody = true;
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  const Fd host(ends[0]);
  {
    const Line line(Fd(ends[1]), guest.heartbeat);
    EXPECT_EQ(send_to_host(line, guest.crash()).error().code, Errc::denied);
  }
  std::string sent(1 << 20, '\0');
  sent.resize(*sys::read_full(host.get(), std::as_writable_bytes(std::span(sent))));
  EXPECT_NE(sent.find("\nENCRYPTED=0\n"), std::string::npos) << sent;
  EXPECT_NE(sent.find("\nREASON=the key in encrypt-to"), std::string::npos) << sent;
  EXPECT_EQ(sent.find("Kernel panic"), std::string::npos);
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
}  // namespace vmcore::guest::save
