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
#include <cstdlib>
#include <filesystem>
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
  // Answers when it is asked whether it lives. When it is asked for a file it sends `text`, and
  // nothing more until nobody waits for it.
  void stall_after(const std::string& text) const {
    answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    const Fd caller = asked();
    EXPECT_EQ(::send(caller.get(), text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
    char byte = 0;
    EXPECT_LE(::recv(caller.get(), &byte, 1, 0), 0);
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

struct Stall {
  std::string name;
  std::string sent;  // of the answer
  std::string told;
};

class StalledServer : public ::testing::TestWithParam<Stall> {
 protected:
  void SetUp() override {
    std::string folder = ::testing::TempDir() + "debuginfod-XXXXXX";
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    ::setenv("DEBUGINFOD_CACHE_PATH", folder.c_str(), 1);
    ::setenv("DEBUGINFOD_URLS", port_.url().c_str(), 1);
    ::unsetenv("DEBUGINFOD_TIMEOUT");
    ::unsetenv("DEBUGINFOD_RETRY_LIMIT");
    folder_ = folder;
  }
  void TearDown() override {
    std::filesystem::remove_all(folder_);
    for (const char* const name : {"CACHE_PATH", "URLS", "TIMEOUT", "RETRY_LIMIT"}) {
      ::unsetenv(fmt::format("DEBUGINFOD_{}", name).c_str());
    }
  }

  Port port_;
  std::filesystem::path folder_;
};

// Whoever asked is told what happened, in time, and does not wait for such a server again.
TEST_P(StalledServer, IsGivenUp) {
  std::thread server([&] { port_.stall_after(GetParam().sent); });
  std::vector<Remark> remarks;
  const std::chrono::seconds first(6), between(2), late(3);
  auto servers = Servers::open(remarks, {.first = first, .between = between});
  ASSERT_TRUE(servers) << servers.error().message;
  const auto begin = std::chrono::steady_clock::now();
  const auto found = servers->find(std::string(40, 'a'));
  const auto took = std::chrono::steady_clock::now() - begin;
  server.join();
  ASSERT_FALSE(found);
  EXPECT_THAT(found.error().message, HasSubstr(GetParam().told));
  const bool has_begun = GetParam().told.find("bytes") != std::string::npos;
  EXPECT_GE(took, has_begun ? between : first);
  EXPECT_LT(took, (has_begun ? between : first) + late);
  const auto again = servers->find(std::string(40, 'b'));
  ASSERT_FALSE(again);
  EXPECT_THAT(again.error().message, HasSubstr("stopped sending before"));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, took + std::chrono::seconds(1));
}

const std::string kHeader = "HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n";

INSTANTIATE_TEST_SUITE_P(
    All, StalledServer,
    ::testing::Values(Stall{"Unheard", "", "has sent nothing of it within 6 s"},
                      Stall{"AfterHeader", kHeader, "has sent nothing of it within 6 s"},
                      Stall{"InTheMiddle", kHeader + std::string(1000, 'x'),
                            "sent 1000 bytes of it, and then nothing for 2 s"}),
    [](const auto& row) { return row.param.name; });

}  // namespace
}  // namespace vmcore::debuginfo
