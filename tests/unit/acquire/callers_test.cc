// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/crash/callers.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vector>

namespace vmcore::acquire {
namespace {

class CallersTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address_;
    ASSERT_EQ(::bind(listener.get(), where(), size), 0);
    ASSERT_EQ(::listen(listener.get(), 128), 0);
    ASSERT_EQ(::getsockname(listener.get(), where(), &size), 0);
    auto callers = Callers::make(std::move(listener));
    ASSERT_TRUE(callers);
    callers_.emplace(*std::move(callers));
  }

  sockaddr* where() { return reinterpret_cast<sockaddr*>(&address_); }

  Fd call(const char* from = "127.0.0.1") {
    Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in own{};
    own.sin_family = AF_INET;
    EXPECT_EQ(::inet_pton(AF_INET, from, &own.sin_addr), 1);
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&own), sizeof own), 0);
    EXPECT_EQ(::connect(fd.get(), where(), sizeof address_), 0);
    return fd;
  }

  // The one that is next within a second.
  std::optional<Caller> next(const std::vector<std::string>& busy = {}) {
    for (int i = 0; i < 10; ++i) {
      pollfd wait{callers_->fd(), POLLIN, 0};
      ::poll(&wait, 1, 100);
      if (auto caller = callers_->next(busy); caller && *caller) {
        return *std::move(caller);
      }
    }
    return std::nullopt;
  }

  // As much as a stream begins with.
  static std::string words(const std::string& begin) {
    return begin + std::string(Callers::kLeastWords - begin.size(), '.');
  }
  static void say(const Fd& fd, const std::string& text) {
    ASSERT_EQ(::write(fd.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  static std::string said(const Caller& caller) {
    char text[2 * Callers::kLeastWords] = "";
    const ssize_t size = ::read(caller.fd.get(), text, sizeof text);
    return {text, static_cast<std::size_t>(std::max<ssize_t>(size, 0))};
  }

  std::optional<Callers> callers_;
  sockaddr_in address_{};
};

TEST_F(CallersTest, NobodyIsThere) {
  const auto caller = callers_->next();
  ASSERT_TRUE(caller);
  EXPECT_FALSE(*caller);
}

TEST_F(CallersTest, SilentOnesKeepNobodyWaiting) {
  const Fd silent = call();
  const Fd other = call();
  const Fd guest = call();
  say(guest, words("guest"));
  const auto caller = next();
  ASSERT_TRUE(caller);
  EXPECT_EQ(caller->name, "127.0.0.1");
  EXPECT_EQ(said(*caller), words("guest"));
  say(silent, words("late"));
  const auto late = next();
  ASSERT_TRUE(late);
  EXPECT_EQ(said(*late), words("late"));
}

TEST_F(CallersTest, NorDoesOneThatSaysLessThanAStreamBeginsWith) {
  const Fd slow = call();
  say(slow, "g");
  const Fd guest = call();
  say(guest, words("guest"));
  const auto caller = next();
  ASSERT_TRUE(caller);
  EXPECT_EQ(said(*caller), words("guest"));
  EXPECT_FALSE(next());
  say(slow, words("uest"));
  const auto other = next();
  ASSERT_TRUE(other);
  EXPECT_EQ(said(*other), "g" + words("uest"));
}

// The end of a stream may be shorter than its begin.
TEST_F(CallersTest, OfAGuestEachByteIsHeard) {
  const Fd guest = call();
  say(guest, words("guest"));
  const auto caller = next();
  ASSERT_TRUE(caller);
  EXPECT_EQ(said(*caller), words("guest"));
  say(guest, "end");
  pollfd wait{caller->fd.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&wait, 1, 10'000), 1);
  EXPECT_EQ(said(*caller), "end");
}

TEST_F(CallersTest, OneThatHangsUpWithoutAWordIsNobody) {
  call();
  say(call(), "GET");
  EXPECT_FALSE(next());
}

TEST_F(CallersTest, OneThatHangsUpWhenItHasSpokenIsHeard) {
  say(call(), words("guest"));
  const auto caller = next();
  ASSERT_TRUE(caller);
  EXPECT_EQ(said(*caller), words("guest"));
  EXPECT_EQ(said(*caller), "");
}

TEST_F(CallersTest, OneOfAnotherAddressComesBeforeThoseOfABusyOne) {
  const Fd one = call("127.0.0.2");
  say(one, words("other"));
  std::vector<Fd> many;
  for (int i = 0; i < 10; ++i) {
    many.push_back(call());
    say(many.back(), words("many"));
  }
  const auto first = next({"127.0.0.1", "127.0.0.2", "127.0.0.1"});
  ASSERT_TRUE(first);
  EXPECT_EQ(first->peer, "127.0.0.2");
  const auto second = next({"127.0.0.1"});
  ASSERT_TRUE(second);
  EXPECT_EQ(second->peer, "127.0.0.1");
}

TEST_F(CallersTest, OfOneAddressTheLastComesFirst) {
  const Fd early = call();
  say(early, words("early"));
  const Fd late = call();
  say(late, words("late"));
  auto caller = next();
  ASSERT_TRUE(caller);
  EXPECT_EQ(said(*caller), words("late"));
  caller = next();
  ASSERT_TRUE(caller);
  EXPECT_EQ(said(*caller), words("early"));
}

TEST_F(CallersTest, OneThatCannotBeHeardYetIsHeardLater) {
  const Fd guest = call();
  say(guest, words("guest"));
  auto caller = next();
  ASSERT_TRUE(caller);
  callers_->put_back(*std::move(caller));
  caller = next();
  ASSERT_TRUE(caller);
  EXPECT_EQ(said(*caller), words("guest"));
}

// Those that spoke and wait do not push out one that has just connected.
TEST_F(CallersTest, OneThatComesIntoACrowdCanSpeak) {
  std::vector<Fd> crowd;
  for (int i = 0; i < 100; ++i) {
    crowd.push_back(call());
    say(crowd.back(), words("crowd"));
  }
  auto heard = next();
  ASSERT_TRUE(heard);
  callers_->put_back(*std::move(heard));
  const Fd guest = call();
  ASSERT_TRUE(next()) << "it is accepted";
  say(guest, words("guest"));
  const auto caller = next();
  ASSERT_TRUE(caller);
  EXPECT_EQ(said(*caller), words("guest"));
}

TEST_F(CallersTest, AFloodFromOneAddressPushesNoOtherOut) {
  const Fd patient = call("127.0.0.2");  // that connects, and speaks only later
  std::vector<Fd> flood;
  for (int i = 0; i < 300; ++i) {
    flood.push_back(call());
    say(flood.back(), words("flood"));
    ASSERT_TRUE(callers_->next({}).has_value());  // who is heard, and hung up on
    flood.push_back(call());
  }
  char byte = 0;
  EXPECT_EQ(::recv(patient.get(), &byte, 1, MSG_DONTWAIT), -1) << "still there";
  say(patient, words("patient"));
  const auto caller = next({"127.0.0.1"});
  ASSERT_TRUE(caller);
  EXPECT_EQ(said(*caller), words("patient"));
}

TEST_F(CallersTest, OfVeryManySilentOnesTheOldestGo) {
  std::vector<Fd> silent;
  for (int i = 0; i < 100; ++i) {
    silent.push_back(call());
  }
  const Fd guest = call();
  say(guest, words("guest"));
  const auto caller = next();
  ASSERT_TRUE(caller);
  EXPECT_EQ(said(*caller), words("guest"));
  char byte = 0;
  EXPECT_EQ(::recv(silent.front().get(), &byte, 1, MSG_DONTWAIT), 0) << "hung up on";
  EXPECT_EQ(::recv(silent.back().get(), &byte, 1, MSG_DONTWAIT), -1) << "still there";
}

}  // namespace
}  // namespace vmcore::acquire
