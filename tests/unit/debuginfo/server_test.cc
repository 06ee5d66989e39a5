// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/debuginfo/server.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <string_view>
#include <thread>

#include "src/base/fd.h"

namespace vmcore::debuginfo {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A socket that listens on loopback; nobody accepts until somebody does.
class Port {
 public:
  Port() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const any = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(::bind(socket_.get(), any, size), 0);
    EXPECT_EQ(::listen(socket_.get(), 4), 0);
    EXPECT_EQ(::getsockname(socket_.get(), any, &size), 0);
    port_ = ntohs(address.sin_port);
  }
  std::string url() const { return fmt::format("http://127.0.0.1:{}", port_); }
  void answer(const std::string& text) const {
    const Fd caller = asked();
    EXPECT_EQ(::send(caller.get(), text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }
  // Begins an answer, one byte at a time, until nobody reads it.
  void trickle() const {
    const Fd caller = asked();
    std::string_view next = "HTTP/1.1 200 O";
    while (::send(caller.get(), next.data(), 1, MSG_NOSIGNAL) == 1) {
      next.remove_prefix(next.size() > 1 ? 1 : 0);
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  }

 private:
  Fd asked() const {
    Fd caller(::accept(socket_.get(), nullptr, nullptr));
    std::array<char, 4096> question;
    EXPECT_GT(::recv(caller.get(), question.data(), question.size(), 0), 0);
    return caller;
  }

  Fd socket_;
  unsigned port_ = 0;
};

TEST(LivingServers, AnyAnswerWillDo) {
  const Port port;
  std::thread server([&] { port.answer("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"); });
  std::vector<Error> dead;
  EXPECT_THAT(living_servers({port.url()}, dead), ElementsAre(port.url()));
  EXPECT_THAT(dead, IsEmpty());
  server.join();
}

// What dead servers may cost. A busy machine may take longer now and then: the best of three
// counts.
constexpr std::chrono::seconds kMost{5};

std::chrono::nanoseconds time_for(const std::vector<std::string>& urls) {
  auto best = std::chrono::nanoseconds::max();
  for (int i = 0; i < 3 && best > kMost; ++i) {
    std::vector<Error> dead;
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_THAT(living_servers(urls, dead), IsEmpty());
    best = std::min<std::chrono::nanoseconds>(best, std::chrono::steady_clock::now() - begin);
    EXPECT_EQ(dead.size(), urls.size());
  }
  return best;
}

TEST(LivingServers, TwoThatAreSilentCostAsMuchAsOne) {
  const Port silent, also_silent;
  EXPECT_LT(time_for({silent.url(), also_silent.url()}), kMost);
}

TEST(LivingServers, OneThatTrickles) {
  const Port port;
  std::thread server([&] { port.trickle(); });
  std::vector<Error> dead;
  EXPECT_THAT(living_servers({port.url()}, dead), IsEmpty());
  ASSERT_EQ(dead.size(), 1U);
  EXPECT_THAT(dead[0].message, HasSubstr("does not answer"));
  server.join();  // only when vmcorectl has hung up
}

TEST(LivingServers, NobodyListens) {
  std::vector<Error> dead;
  EXPECT_THAT(living_servers({"http://127.0.0.1:1", "file:///etc/passwd"}, dead), IsEmpty());
  ASSERT_EQ(dead.size(), 2U);
  EXPECT_THAT(dead[0].message, HasSubstr("does not answer"));
}

TEST(Servers, WithoutAServer) {
  ::unsetenv("DEBUGINFOD_URLS");
  std::vector<Remark> remarks;
  const auto servers = Servers::open(remarks);
  ASSERT_FALSE(servers);
  EXPECT_THAT(servers.error().message, HasSubstr("DEBUGINFOD_URLS"));
}

}  // namespace
}  // namespace vmcore::debuginfo
