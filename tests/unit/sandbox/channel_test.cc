// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/sandbox/channel.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "src/sandbox/messages.h"

namespace vmcore::sandbox {
namespace {

class Ends : public ::testing::Test {
 protected:
  Ends() : ends_(*Channel::make_pair()) {}
  Channel& ours() { return ends_.first; }
  Channel& theirs() { return ends_.second; }
  void close_theirs() { Channel gone = std::move(ends_.second); }

 private:
  std::pair<Channel, Channel> ends_;
};

TEST_F(Ends, PacketsAreWhole) {
  ASSERT_TRUE(ours().send("one"));
  ASSERT_TRUE(ours().send(std::string(kMaxPacket, 'x')));
  EXPECT_EQ(theirs().receive()->text, "one");
  EXPECT_EQ(theirs().receive()->text.size(), kMaxPacket);
}

TEST_F(Ends, DescriptorsTravel) {
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  Fd out(pipe[0]);
  Fd in(pipe[1]);
  const int fds[] = {out.get(), in.get()};
  ASSERT_TRUE(ours().send("two", fds));
  const auto packet = theirs().receive();
  ASSERT_EQ(packet->fds.size(), 2U);
  EXPECT_NE(packet->fds[0].get(), out.get());
  EXPECT_EQ(::fcntl(packet->fds[0].get(), F_GETFD), FD_CLOEXEC);
  ASSERT_EQ(::write(packet->fds[1].get(), "x", 1), 1);
  char c = 0;
  EXPECT_EQ(::read(out.get(), &c, 1), 1);
}

TEST_F(Ends, TooLargePacketsAreRefused) {
  ASSERT_TRUE(ours().send(std::string(kMaxPacket + 1, 'x')));
  const auto packet = theirs().receive();
  ASSERT_FALSE(packet);
  EXPECT_EQ(packet.error().code, Errc::limit);
}

unsigned open_descriptors() {
  unsigned count = 0;
  for (int fd = 0; fd < 256; ++fd) {
    count += ::fcntl(fd, F_GETFD) >= 0 ? 1U : 0U;
  }
  return count;
}

TEST_F(Ends, TooManyDescriptorsAreRefusedAndClosed) {
  const unsigned before = open_descriptors();
  alignas(cmsghdr) char control[CMSG_SPACE((kMaxFds + 1) * sizeof(int))] = {};
  char byte = 'x';
  iovec part{&byte, 1};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN((kMaxFds + 1) * sizeof(int));
  ASSERT_EQ(::sendmsg(ours().fd(), &message, 0), 1);  // descriptor 0, nine times
  const auto packet = theirs().receive();
  ASSERT_FALSE(packet);
  EXPECT_EQ(packet.error().code, Errc::limit);
  EXPECT_EQ(open_descriptors(), before);
}

// A worker may send nothing at all.
TEST_F(Ends, AnEmptyPacketIsTheEnd) {
  ASSERT_TRUE(theirs().send(""));
  EXPECT_EQ(ours().receive().error().code, Errc::cancelled);
}

TEST_F(Ends, TheEndIsCancelled) {
  close_theirs();
  EXPECT_EQ(ours().receive().error().code, Errc::cancelled);
  EXPECT_EQ(ours().send("x").error().code, Errc::cancelled);
}

TEST_F(Ends, WhatWasSentBeforeTheEndArrives) {
  ASSERT_TRUE(theirs().send("last"));
  close_theirs();
  EXPECT_EQ(ours().receive()->text, "last");
  EXPECT_FALSE(ours().receive());
}

TEST_F(Ends, WhatWasSentBeforeTheEndArrivesAlsoWhereSomethingWasLeftUnread) {
  ASSERT_TRUE(ours().send("never read"));
  ASSERT_TRUE(theirs().send("last"));
  close_theirs();
  EXPECT_EQ(ours().receive()->text, "last");
  EXPECT_EQ(ours().receive().error().code, Errc::cancelled);
}

TEST_F(Ends, WaitClosedWaitsForTheEndOnly) {
  ASSERT_TRUE(theirs().send("not the end"));
  std::atomic<bool> closed = false;
  std::jthread waiter([&] {
    ours().wait_closed();
    closed = true;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_FALSE(closed);
  close_theirs();
  waiter.join();
  EXPECT_TRUE(closed);
}

}  // namespace
}  // namespace vmcore::sandbox
