// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/save/line.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>

#include <thread>

#include "src/base/sys.h"

namespace vmcore::guest::save {
namespace {

using std::chrono::seconds;

struct Ends {
  Fd guest;
  Fd host;
};

Ends make_ends() {
  int fds[2] = {-1, -1};
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
  ::fcntl(fds[0], F_SETFL, O_NONBLOCK);
  return {Fd(fds[0]), Fd(fds[1])};
}

TEST(Line, SendsMoreThanFitsAtOnce) {
  Ends ends = make_ends();
  const Heartbeat heartbeat{Fd()};
  const Line line(std::move(ends.guest), heartbeat);
  const std::vector<std::byte> sent(8U << 20, std::byte{7});
  std::vector<std::byte> got(sent.size());
  std::jthread host([&] { static_cast<void>(sys::read_full(ends.host.get(), got)); });
  EXPECT_TRUE(line.wait_for_host(seconds(1)));
  EXPECT_TRUE(line.send(sent));
  host.join();
  EXPECT_EQ(got, sent);
}

TEST(Line, AHostThatHangsUpIsAnError) {
  Ends ends = make_ends();
  const Heartbeat heartbeat{Fd()};
  const Line line(std::move(ends.guest), heartbeat);
  ends.host.reset();
  ::signal(SIGPIPE, SIG_IGN);
  EXPECT_EQ(line.send(std::vector<std::byte>(1)).error().code, Errc::io);
}

TEST(Line, GoodbyeIsTheHostsHangingUp) {
  Ends ends = make_ends();
  const Heartbeat heartbeat{Fd()};
  const Line line(std::move(ends.guest), heartbeat);
  EXPECT_EQ(line.wait_for_goodbye(seconds(1)), false);
  ends.host.reset();
  EXPECT_EQ(line.wait_for_goodbye(seconds(1)), true);
}

TEST(Line, AHostThatReadNotAllSaysNoGoodbye) {
  Ends ends = make_ends();
  const Heartbeat heartbeat{Fd()};
  const Line line(std::move(ends.guest), heartbeat);
  ASSERT_TRUE(line.send(std::vector<std::byte>(1)));
  ends.host.reset();
  const auto goodbye = line.wait_for_goodbye(seconds(1));
  ASSERT_FALSE(goodbye);
  EXPECT_EQ(goodbye.error().code, Errc::io);
}

}  // namespace
}  // namespace vmcore::guest::save
