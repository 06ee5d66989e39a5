// SPDX-License-Identifier: GPL-2.0-or-later
// Callers whose workers are shell scripts, which do as the first letter of what a caller says.
#include "src/job/caller_trials.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <thread>

namespace vmcore::job {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class CallerTrialsTest : public ::testing::Test {
 protected:
  CallerTrialsTest() {
    char folder[] = "/tmp/vmcorectl-test-XXXXXX";
    folder_ = ::mkdtemp(folder);
    sandbox::Hello hello;
    hello.release = "6.1-test";
    write_worker("silent", "exec sleep 1000");
    write_worker("begins", says(hello));
    write_worker("fails", says(sandbox::Failed{{Errc::not_recognised, "no stream"}}));
  }
  ~CallerTrialsTest() override { fs::remove_all(folder_); }

  void SetUp() override {
    Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address_;
    ASSERT_EQ(::bind(listener.get(), where(), size), 0);
    ASSERT_EQ(::listen(listener.get(), 128), 0);
    ASSERT_EQ(::getsockname(listener.get(), where(), &size), 0);
    auto callers = acquire::Callers::make(std::move(listener));
    ASSERT_TRUE(callers);
    callers_.emplace(*std::move(callers));
  }

  sockaddr* where() { return reinterpret_cast<sockaddr*>(&address_); }

  static std::string says(const sandbox::Event& event) {
    return fmt::format("echo '{}' >&3; exec sleep 1000", sandbox::encode(event));
  }
  void write_worker(const std::string& name, const std::string& script) const {
    std::ofstream(folder_ / name) << "#!/bin/sh\n" << script << "\n";
    ::chmod((folder_ / name).c_str(), 0700);
  }

  // Somebody who connects and says it, and is tried where there is room.
  Fd call(const std::string& what, const char* from) {
    Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in own{};
    own.sin_family = AF_INET;
    EXPECT_EQ(::inet_pton(AF_INET, from, &own.sin_addr), 1);
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&own), sizeof own), 0);
    EXPECT_EQ(::connect(fd.get(), where(), sizeof address_), 0);
    const std::string words =
        what + " " + std::string(acquire::Callers::kLeastWords - what.size() - 1, '.');
    EXPECT_EQ(::write(fd.get(), words.data(), words.size()), std::ssize(words));
    pollfd heard{callers_->fd(), POLLIN, 0};
    EXPECT_EQ(::poll(&heard, 1, 10'000), 1);
    some_wait_ = take();
    return fd;
  }
  std::vector<Fd> call_often(std::size_t times, const std::string& what, const char* from) {
    std::vector<Fd> fds;
    for (std::size_t i = 0; i < times; ++i) {
      fds.push_back(call(what, from));
    }
    return fds;
  }

  bool take() {
    const auto some_wait = trials_.take(*callers_);
    EXPECT_TRUE(some_wait);
    return some_wait.value_or(false);
  }
  // Until nobody waits any more, or for much longer than a caller may be silent.
  bool take_all() {
    for (int i = 0; i < 40 && some_wait_; ++i) {
      std::this_thread::sleep_for(CallerTrials::kLeast / 4);
      some_wait_ = take();
    }
    return !some_wait_;
  }

  Result<StreamReading> begin(acquire::Caller caller) {
    std::array<char, acquire::Callers::kLeastWords> said{};
    // As a worker that was not given the processor yet: "unread" stays in the line.
    const bool unread =
        ::recv(caller.fd.get(), said.data(), said.size(), MSG_PEEK) > 0 && said.front() == 'u';
    if (!unread) {
      EXPECT_EQ(::read(caller.fd.get(), said.data(), said.size()), std::ssize(said));
    }
    std::string name(said.data());
    name.resize(name.find(' '));
    begun_.push_back(name);
    TRY_ASSIGN(auto worker, sandbox::Worker::start(folder_ / (unread ? "silent" : name)));
    return StreamReading{.name = name + " of " + caller.peer,
                         .crash = {},
                         .line = std::move(caller.fd),
                         .files = {},
                         .hangup = {},
                         .worker = std::move(worker)};
  }

  std::optional<CallerTrials::Winner> look() {
    return trials_.look([this](const CallerTrials::Stray& stray) {
      strays_.push_back(stray.name + ": " + stray.why.message);
    });
  }
  // Within ten seconds.
  std::optional<CallerTrials::Winner> winner() {
    for (int i = 0; i < 1000; ++i) {
      if (auto winner = look()) {
        return winner;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return std::nullopt;
  }

  static bool is_hung_up(const Fd& caller) {
    pollfd wait{caller.get(), POLLIN | POLLRDHUP, 0};
    return ::poll(&wait, 1, 0) == 1;
  }
  static std::vector<std::size_t> hung_up(const std::vector<Fd>& callers) {
    std::vector<std::size_t> which;
    for (std::size_t i = 0; i < callers.size(); ++i) {
      if (is_hung_up(callers[i])) {
        which.push_back(i);
      }
    }
    return which;
  }

  fs::path folder_;
  sockaddr_in address_{};
  std::optional<acquire::Callers> callers_;
  std::vector<std::string> begun_;
  std::vector<std::string> strays_;
  bool some_wait_ = false;
  CallerTrials trials_{[this](acquire::Caller caller) { return begin(std::move(caller)); }};
};

TEST_F(CallerTrialsTest, TheFirstThatBeginsAStreamWins) {
  const Fd silent = call("silent", "127.0.0.1");
  const Fd stray = call("fails", "127.0.0.1");
  for (int i = 0; i < 1000 && strays_.empty(); ++i) {
    EXPECT_FALSE(look());
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_THAT(strays_, ElementsAre("fails of 127.0.0.1: no stream"));
  EXPECT_TRUE(is_hung_up(stray));
  const Fd guest = call("begins", "127.0.0.1");
  EXPECT_EQ(trials_.fds().size(), 2U);
  const auto won = winner();
  ASSERT_TRUE(won);
  EXPECT_EQ(won->reading.name, "begins of 127.0.0.1");
  EXPECT_EQ(won->hello.release, "6.1-test");
  EXPECT_FALSE(is_hung_up(guest));
  EXPECT_FALSE(is_hung_up(silent));
}

TEST_F(CallerTrialsTest, WhereAllAreSilentTheOldestOfThePeerWithTheMostMakesRoom) {
  const auto few = call_often(CallerTrials::kMostOfPeer - 1, "silent", "127.0.0.2");
  const auto many = call_often(CallerTrials::kMostOfPeer, "silent", "127.0.0.1");
  const Fd one = call("silent", "127.0.0.3");
  ASSERT_FALSE(some_wait_);
  const Fd guest = call("begins", "127.0.0.4");
  EXPECT_TRUE(take_all());
  EXPECT_TRUE(winner());
  EXPECT_THAT(hung_up(many), ElementsAre(0));
  EXPECT_THAT(hung_up(few), IsEmpty());
  EXPECT_FALSE(is_hung_up(one));
}

TEST_F(CallerTrialsTest, OfOnePeerOneMakesRoomForTheNext) {
  const auto others = call_often(2, "silent", "127.0.0.2");
  const auto silent = call_often(CallerTrials::kMostOfPeer, "silent", "127.0.0.1");
  ASSERT_FALSE(some_wait_);
  const Fd guest = call("begins", "127.0.0.1");
  EXPECT_TRUE(take_all());
  EXPECT_TRUE(winner());
  EXPECT_THAT(hung_up(silent), ElementsAre(0));
  EXPECT_THAT(hung_up(others), IsEmpty());
}

// What they said was not read yet: their workers had no processor.
TEST_F(CallerTrialsTest, WhoWasNotHeardYetIsNotSilent) {
  const auto unread = call_often(CallerTrials::kMostOfPeer, "unread", "127.0.0.1");
  const Fd next = call("begins", "127.0.0.1");
  EXPECT_FALSE(take_all());
  EXPECT_THAT(hung_up(unread), IsEmpty());
  EXPECT_THAT(begun_, testing::Each("unread"));
  const Fd other = call("begins", "127.0.0.2");
  ASSERT_TRUE(winner());
  EXPECT_TRUE(some_wait_);
}

TEST_F(CallerTrialsTest, AWorkerThatSaysSomethingElseIsTold) {
  write_worker("rogue", says(sandbox::SourceRead{}));
  const Fd caller = call("rogue", "127.0.0.1");
  for (int i = 0; i < 1000 && strays_.empty(); ++i) {
    EXPECT_FALSE(look());
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_THAT(strays_, ElementsAre("rogue of 127.0.0.1: worker protocol: no stream began"));
}

}  // namespace
}  // namespace vmcore::job
