// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/control/server.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "src/control/ask.h"

namespace vmcore::control {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

class ServerTest : public testing::Test {
 protected:
  ServerTest() {
    char name[] = "/tmp/vmcored-control-XXXXXX";
    folder_ = ::mkdtemp(name);
    server_.emplace(*Server::listen(path()));
  }
  ~ServerTest() override { fs::remove_all(folder_); }
  std::string path() const { return (folder_ / "socket").string(); }

  // Runs the service until a request arrives, or for this time.
  std::vector<Asked> asked(milliseconds most = milliseconds(5'000)) {
    for (const auto end = std::chrono::steady_clock::now() + most;
         std::chrono::steady_clock::now() < end;) {
      pollfd wait{server_->fd(), POLLIN, 0};
      ::poll(&wait, 1, 20);
      auto asked = server_->step();
      if (!asked.empty()) {
        return asked;
      }
    }
    return {};
  }
  Fd connected() const {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path().c_str(), sizeof address.sun_path - 1);
    Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
              0);
    return socket;
  }
  static void send(const Fd& socket, std::string_view text) {
    EXPECT_EQ(::send(socket.get(), text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }
  // All that comes until the server hangs up, or for a second.
  static std::string received(const Fd& socket) {
    std::string text;
    char buffer[4096];
    pollfd wait{socket.get(), POLLIN, 0};
    while (::poll(&wait, 1, 1'000) == 1) {
      const ssize_t got = ::recv(socket.get(), buffer, sizeof buffer, 0);
      if (got <= 0) {
        break;
      }
      text.append(buffer, static_cast<std::size_t>(got));
    }
    return text;
  }

  fs::path folder_;
  std::optional<Server> server_;
};

// No descriptor is left for another client: it waits, and the service does not spin meanwhile.
TEST_F(ServerTest, AClientWithoutADescriptorWaits) {
  const Fd client = connected();
  send(client, to_json(Request{}));
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const Fd highest(::dup(0));
  const rlimit none{static_cast<rlim_t>(highest.get()) + 1, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  EXPECT_TRUE(server_->step().empty());
  pollfd wait{server_->fd(), POLLIN, 0};
  EXPECT_EQ(::poll(&wait, 1, 100), 0);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(asked().size(), 1U);
}

TEST_F(ServerTest, AnswersWhatItWasAsked) {
  Result<Answer> answer = fail(Errc::io, "none");
  std::thread client([&] { answer = ask(path(), {.verb = Verb::arm, .guests = {"vm1"}}); });
  const auto one = asked();
  ASSERT_EQ(one.size(), 1U);
  EXPECT_EQ(one[0].request.guests, std::vector<std::string>{"vm1"});
  EXPECT_EQ(one[0].uid, ::geteuid());
  server_->answer(one[0].client, {.guests = {{.name = "vm1", .armed = true}}});
  client.join();
  ASSERT_TRUE(answer) << answer.error().message;
  ASSERT_EQ(answer->guests.size(), 1U);
  EXPECT_TRUE(answer->guests[0].armed);
}

// More than a socket holds.
TEST_F(ServerTest, ALongAnswerArrivesInPieces) {
  Answer long_answer;
  long_answer.guests.resize(5'000, {.name = std::string(200, 'x')});
  Result<Answer> answer = fail(Errc::io, "none");
  std::thread client([&] { answer = ask(path(), {}); });
  server_->answer(asked().at(0).client, long_answer);
  asked(milliseconds(500));
  client.join();
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->guests.size(), 5'000U);
}

TEST_F(ServerTest, ServesAClientWhileAnotherSaysNothing) {
  const Fd silent = connected();
  const Fd half = connected();
  send(half, "{\"schema\": ");
  Result<Answer> answer = fail(Errc::io, "none");
  std::thread client([&] { answer = ask(path(), {}); });
  server_->answer(asked().at(0).client, {});
  client.join();
  EXPECT_TRUE(answer);
}

TEST_F(ServerTest, RefusesWhatIsNoRequest) {
  const Fd client = connected();
  send(client, "hello\n");
  EXPECT_TRUE(asked(milliseconds(100)).empty());
  EXPECT_NE(received(client).find("malformed"), std::string::npos);
}

TEST_F(ServerTest, HangsUpOnWhoSendsWithoutEnd) {
  const Fd client = connected();
  const std::string block(32 << 10, 'x');
  for (int i = 0; i < 16; ++i) {
    ::send(client.get(), block.data(), block.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    server_->step();
  }
  EXPECT_EQ(received(client), "");
}

TEST_F(ServerTest, RefusesTheClientThatIsOneTooMany) {
  std::vector<Fd> clients;
  for (std::size_t i = 0; i < kMostClients; ++i) {
    clients.push_back(connected());
    server_->step();
  }
  const Fd last = connected();
  server_->step();
  EXPECT_NE(received(last).find("busy"), std::string::npos);
  clients.clear();
  server_->step();
  const Fd next = connected();
  send(next, to_json(Request{}));
  EXPECT_EQ(asked().size(), 1U);
}

// Its client has the descriptor, and the service the connection.
TEST_F(ServerTest, LendsDescriptors) {
  Result<Loan> loan = fail(Errc::io, "none");
  std::thread client([&] { loan = borrow(path(), "/run/vm1.sock"); });
  const auto one = asked();
  ASSERT_EQ(one.size(), 1U);
  EXPECT_EQ(one[0].request.verb, Verb::lend);
  EXPECT_EQ(one[0].request.socket, "/run/vm1.sock");
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const Fd ours(ends[0]);
  const Fd its(ends[1]);
  const auto connection = server_->lend(one[0].client, std::vector{its.get(), its.get()});
  client.join();
  ASSERT_TRUE(connection && loan) << loan.error().message;
  send(loan->monitor, "m");
  char byte = 0;
  EXPECT_EQ(::recv(ours.get(), &byte, 1, 0), 1);
  EXPECT_EQ(loan->kept.size(), 1U);
  send(loan->connection, "c");
  EXPECT_EQ(::recv(connection->get(), &byte, 1, 0), 1);
  EXPECT_EQ(byte, 'c');
}

TEST_F(ServerTest, AClientThatGoesIsForgotten) {
  {
    const Fd client = connected();
    send(client, to_json(Request{}));
    EXPECT_EQ(asked().size(), 1U);
  }
  EXPECT_TRUE(asked(milliseconds(50)).empty());
  server_->answer(2, {});
  EXPECT_EQ(server_->lend(2, {}).error().code, Errc::cancelled);
}

TEST_F(ServerTest, OneServiceListens) {
  const auto second = Server::listen(path());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::busy);
  EXPECT_NE(second.error().message.find("another vmcored"), std::string::npos);
}

TEST_F(ServerTest, TakesThePlaceOfOneThatWasKilled) {
  server_.reset();
  EXPECT_FALSE(fs::exists(path()));
  {  // a socket that nobody listens on
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path().c_str(), sizeof address.sun_path - 1);
    const Fd dead(::socket(AF_UNIX, SOCK_STREAM, 0));
    ASSERT_EQ(::bind(dead.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }
  EXPECT_TRUE(Server::listen(path()));
}

TEST_F(ServerTest, ReplacesNoFile) {
  server_.reset();
  std::ofstream(path()) << "mine";
  EXPECT_FALSE(Server::listen(path()));
  EXPECT_TRUE(fs::is_regular_file(path()));
}

TEST(Ask, SaysWhatToDoWhereNobodyListens) {
  const auto answer = ask("/nowhere/vmcored.socket", {});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::not_found);
  EXPECT_NE(answer.error().message.find("systemctl start vmcored"), std::string::npos);
}

}  // namespace
}  // namespace vmcore::control
