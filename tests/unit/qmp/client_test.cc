// SPDX-License-Identifier: GPL-2.0-or-later
#include "qmp/client.h"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <unistd.h>

#include <latch>
#include <optional>
#include <thread>

#include "tests/fakes/fake_qemu.h"

namespace vmcore::qmp {
namespace {

using fakes::event;
using fakes::FakeQemu;
using fakes::kGreeting;
using namespace std::chrono_literals;

ClientOptions quick(std::vector<std::string> events = {}) {
  return {.greeting = 100ms, .events = std::move(events)};
}

Error open_error(std::string_view said, bool hang_up = false) {
  FakeQemu qemu;
  qemu.say(said);
  if (hang_up) {
    qemu.hang_up();
  }
  const auto client = Client::open(qemu.client_end(), quick());
  return client ? Error{Errc::io, "opened"} : client.error();
}

TEST(Client, OpensAndRunsCommands) {
  FakeQemu qemu;
  qemu.serve({{"query-status", [](const Json&, auto&) { return R"({"status": "running"})"; }}});
  {
    auto client = Client::open(qemu.client_end(), quick());
    ASSERT_TRUE(client) << client.error().message;
    const auto status = client->execute("query-status");
    ASSERT_TRUE(status) << status.error().message;
    EXPECT_EQ(status->at("status"), "running");
  }
  EXPECT_EQ(qemu.finish(), (std::vector<std::string>{"qmp_capabilities", "query-status"}));
}

TEST(Client, ItsPatienceIsThatOfItsUser) {
  FakeQemu qemu;
  qemu.say(kGreeting);
  qemu.say("{\"return\": {}, \"id\": 1}\r\n");
  auto client = Client::open(qemu.client_end(), quick());
  ASSERT_TRUE(client) << client.error().message;
  client->set_patience(50ms);
  const auto late = client->execute("system_reset");
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, Errc::busy);
  EXPECT_NE(late.error().message.find("within 50 ms"), std::string::npos);
}

TEST(Client, PassesArgumentsAndADescriptor) {
  FakeQemu qemu;
  std::string name;
  std::size_t received = 0;
  qemu.serve({{"getfd", [&](const Json& arguments, std::vector<Fd>& fds) {
                 name = arguments.at("fdname");
                 received = fds.size();
                 return "{}";
               }}});
  {
    auto client = Client::open(qemu.client_end(), quick());
    ASSERT_TRUE(client);
    const Fd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    ASSERT_TRUE(client->execute("getfd", {{"fdname", "x"}}, kCommandTimeout, null.get()));
  }
  qemu.finish();
  EXPECT_EQ(name, "x");
  EXPECT_EQ(received, 1U);
}

TEST(Client, SilenceIsBusy) { EXPECT_EQ(open_error("").code, Errc::busy); }

TEST(Client, AGreetingWithoutEndIsBusy) { EXPECT_EQ(open_error("{\"QMP\": {").code, Errc::busy); }

TEST(Client, ALateGreetingIsTooLate) {
  FakeQemu qemu;
  std::thread late([&] {
    std::this_thread::sleep_for(300ms);
    qemu.say(kGreeting);
  });
  const auto client = Client::open(qemu.client_end(), quick());
  late.join();
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().code, Errc::busy);
}

TEST(Client, AClosedConnectionIsNotFound) {
  EXPECT_EQ(open_error("", true).code, Errc::not_found);
  EXPECT_EQ(open_error("{\"QM", true).code, Errc::not_found);
}

TEST(Client, KnowsAMonitorForPeople) {
  const Error error =
      open_error("QEMU 7.2.22 monitor - type 'help' for more information\r\n(qemu) ");
  EXPECT_EQ(error.code, Errc::not_recognised);
  EXPECT_NE(error.message.find("HMP"), std::string::npos) << error.message;
}

TEST(Client, KnowsTheGuestAgent) {
  const Error error = open_error("{\"return\": {}}\n");
  EXPECT_EQ(error.code, Errc::not_recognised);
  EXPECT_NE(error.message.find("guest agent"), std::string::npos) << error.message;
}

TEST(Client, RefusesBoundlessJson) {
  EXPECT_EQ(open_error("{\"QMP\": " + std::string(10'000, '[')).code, Errc::limit);
  EXPECT_EQ(open_error("{\"QMP\": \"\xC0\x80\"}").code, Errc::malformed);
}

// Opens a client of a QEMU that answers query-status with `said`, which may hold the id as %ID, and
// with nothing else before the client has its answer.
Result<Json> answer_with(std::string said, bool hang_up = false,
                         Milliseconds timeout = kCommandTimeout) {
  std::latch answered(1);
  FakeQemu qemu;
  qemu.serve({{"query-status", [&](const Json&, auto&) {
                 if (const auto at = said.find("%ID"); at != std::string::npos) {
                   said.replace(at, 3, "2");
                 }
                 qemu.say(said);
                 if (hang_up) {
                   qemu.hang_up();
                 }
                 answered.wait();
                 return "{}";
               }}});
  auto client = Client::open(qemu.client_end(), quick());
  if (!client) {
    return tl::unexpected(client.error());
  }
  auto answer = client->execute("query-status", Json::object(), timeout);
  answered.count_down();
  client = tl::unexpected(Error{Errc::io, ""});  // hangs up
  return answer;
}

TEST(Client, ReportsErrors) {
  const auto answer = answer_with(
      R"({"error": {"class": "GenericError", "desc": "there is a reason"}, "id": %ID})");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::io);
  EXPECT_EQ(answer.error().message, "query-status: there is a reason");
}

TEST(Client, AnUnknownCommandIsUnsupported) {
  FakeQemu qemu;
  qemu.serve({});
  auto client = Client::open(qemu.client_end(), quick());
  ASSERT_TRUE(client);
  const auto answer = client->execute("query-nothing");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::unsupported);
  client = tl::unexpected(Error{Errc::io, ""});
}

TEST(Client, RefusesAnswersToWhatWasNotAsked) {
  EXPECT_EQ(answer_with(R"({"return": {}, "id": 99})").error().code, Errc::malformed);
  EXPECT_EQ(answer_with(R"({"return": {}, "id": "text"})").error().code, Errc::malformed);
  EXPECT_EQ(answer_with(R"({"return": {}})").error().code, Errc::malformed);
  EXPECT_EQ(answer_with(R"({"neither": {}})").error().code, Errc::malformed);
}

TEST(Client, SkipsAnswersItGaveUpOn) {
  const auto answer = answer_with(R"({"return": 1, "id": 1}{"return": 2, "id": %ID})");
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(*answer, 2);
}

TEST(Client, GivesUpAtTheDeadline) {
  EXPECT_EQ(answer_with("", false, 100ms).error().code, Errc::busy);
}

TEST(Client, ADisconnectAmidAnAnswerIsNotFound) {
  EXPECT_EQ(answer_with(R"({"return": {"sta)", true).error().code, Errc::not_found);
}

TEST(Client, RefusesAGiantAnswer) {
  const auto answer = answer_with(R"({"return": ")" + std::string(2 * kMaxMessage, 'x') + "\"}");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::limit);
}

TEST(Client, KeepsTheEventsItWasToldTo) {
  FakeQemu qemu;
  qemu.serve({{"query-status", [&](const Json&, auto&) {
                 qemu.say(event("STOP", 100) + event("RTC_CHANGE") + event("RESUME", 350));
                 return "{}";
               }}});
  auto client = Client::open(qemu.client_end(), quick({"STOP", "RESUME"}));
  ASSERT_TRUE(client);
  ASSERT_TRUE(client->execute("query-status"));
  const auto resumed = client->wait_event("RESUME", 100ms);
  const auto stopped = client->take_event("STOP");
  ASSERT_TRUE(resumed && stopped && *stopped);
  EXPECT_EQ((resumed->time - (*stopped)->time).count(), 250);
  EXPECT_EQ(*client->take_event("RTC_CHANGE"), std::nullopt);
  EXPECT_EQ(client->wait_event("RESUME", 50ms).error().code, Errc::busy);
  client = tl::unexpected(Error{Errc::io, ""});
}

TEST(Client, ReturnsEventsInTheirOrderAndTheLossOfTheConnectionLast) {
  FakeQemu qemu;
  qemu.serve({});
  auto client = Client::open(qemu.client_end(), quick({"STOP", "RESET"}));
  ASSERT_TRUE(client);
  EXPECT_EQ(*client->next_event(), std::nullopt);
  qemu.say(event("RESET", 1) + event("RTC_CHANGE", 2) + event("STOP", 3));
  qemu.hang_up();
  EXPECT_EQ(client->next_event().value()->name, "RESET");
  EXPECT_EQ(client->next_event().value()->name, "STOP");
  EXPECT_EQ(client->next_event().error().code, Errc::not_found);
}

// A service lends its monitor to a job: each has a client on the same socket.
class LentMonitor : public ::testing::Test {
 protected:
  LentMonitor() {
    qemu_.serve({{"query-status",
                  [this](const Json&, auto&) {
                    qemu_.say(said_);
                    return "1";
                  }},
                 {"silent", [this](const Json&, auto&) {
                    ::usleep(200'000);
                    return "1";
                  }}});
    Fd end = qemu_.client_end();
    socket_ = Fd(::dup(end.get()));
    auto opened = Client::open(std::move(end), quick({"RESET"}));
    EXPECT_TRUE(opened);
    service_.emplace(*std::move(opened));
  }
  Client borrow(std::vector<std::string> kept = {"RESET"}) {
    return Client::adopt(Fd(::dup(socket_.get())),
                         {.events = std::move(kept), .recorded = {"RESET", "GUEST_PANICKED"}});
  }

  FakeQemu qemu_;
  std::string said_;
  Fd socket_;
  std::optional<Client> service_;
};

TEST_F(LentMonitor, ServesTheBorrowerAndThenTheLender) {
  qemu_.say(event("RESET", 1));
  ASSERT_TRUE(service_->settle(100ms));
  {
    Client job = borrow();
    said_ = event("RESET", 2) + event("GUEST_PANICKED", 3);
    EXPECT_TRUE(job.execute("query-status"));
    EXPECT_TRUE(job.wait_event("RESET", 100ms));
    EXPECT_TRUE(job.drop_events());
    ASSERT_TRUE(job.settle(100ms));
    const std::vector<Event> seen = job.take_recorded();
    ASSERT_EQ(seen.size(), 2U);
    EXPECT_EQ(seen[0].name, "RESET");
    EXPECT_EQ(seen[0].time, Milliseconds(1'000'000) + std::chrono::microseconds(2));
    EXPECT_EQ(seen[1].name, "GUEST_PANICKED");
    EXPECT_TRUE(job.take_recorded().empty());
  }
  said_ = "";
  qemu_.say(event("RESET", 4));
  EXPECT_TRUE(service_->execute("query-status"));
  const auto first = service_->next_event();
  const auto second = service_->next_event();
  ASSERT_TRUE(first && *first && second && *second);
  EXPECT_EQ((*second)->time - (*first)->time, std::chrono::microseconds(3));
  EXPECT_EQ(*service_->next_event(), std::nullopt);
}

TEST_F(LentMonitor, HalfAMessageIsAwaited) {
  const std::string whole = event("RESET", 1);
  qemu_.say(whole.substr(0, 20));
  EXPECT_EQ(service_->settle(50ms).error().code, Errc::busy);
  std::thread rest([&] {
    ::usleep(50'000);
    qemu_.say(whole.substr(20));
  });
  EXPECT_TRUE(service_->settle(5'000ms));
  rest.join();
  EXPECT_TRUE(service_->take_event("RESET")->has_value());
}

// The job gave up on its command; its answer comes when the service has the monitor again.
TEST_F(LentMonitor, AnAnswerToTheOtherIsIgnored) {
  ASSERT_TRUE(service_->settle(100ms));
  Client job = borrow();
  EXPECT_EQ(job.execute("silent", Json::object(), 20ms).error().code, Errc::busy);
  EXPECT_TRUE(service_->execute("query-status"));
  EXPECT_TRUE(service_->execute("query-status"));
}

TEST(Client, AFloodOfEventsHoldsNobody) {
  FakeQemu qemu;
  std::string flood;
  for (int i = 0; i < 10'000; ++i) {
    flood += event("RTC_CHANGE");
  }
  qemu.serve({{"query-status",
               [&](const Json&, auto&) {
                 qemu.say(flood);  // dropped: nobody asked for these
                 return "1";
               }},
              {"stop", [&](const Json&, auto&) {
                 std::string kept = flood;
                 for (std::size_t at = 0;
                      (at = kept.find("RTC_CHANGE", at)) != std::string::npos;) {
                   kept.replace(at, 10, "STOP");
                 }
                 qemu.say(kept);
                 return "1";
               }}});
  auto client = Client::open(qemu.client_end(), quick({"STOP"}));
  ASSERT_TRUE(client);
  EXPECT_TRUE(client->execute("query-status"));
  EXPECT_TRUE(client->execute("stop"));
  std::size_t kept = 0;
  while (client->next_event().value()) {
    ++kept;
  }
  EXPECT_EQ(kept, kMaxEvents);
  client = tl::unexpected(Error{Errc::io, ""});
}

TEST(Client, SendsAResyncAfterACommandThatWentHalf) {
  FakeQemu qemu;
  qemu.say(kGreeting);
  qemu.say("{\"return\": {}, \"id\": 1}\n");
  auto client = Client::open(qemu.client_end(), quick());
  ASSERT_TRUE(client);
  // Nobody reads: the socket fills up.
  const auto half = client->execute("x", {{"a", std::string(8 << 20, 'x')}}, 100ms);
  ASSERT_FALSE(half);
  EXPECT_EQ(half.error().code, Errc::busy);
  qemu.serve({{"query-status", [](const Json&, auto&) { return "7"; }}}, "");
  const auto whole = client->execute("query-status");
  ASSERT_TRUE(whole) << whole.error().message;
  EXPECT_EQ(*whole, 7);
  client = tl::unexpected(Error{Errc::io, ""});
}

TEST(Client, WaitsForQemuToEnd) {
  FakeQemu qemu;
  qemu.serve({{"quit", [&](const Json&, auto&) {
                 qemu.hang_up();
                 return "{}";
               }}});
  auto client = Client::open(qemu.client_end(), quick());
  ASSERT_TRUE(client);
  EXPECT_FALSE(client->wait_closed(50ms));
  static_cast<void>(client->execute("quit"));
  EXPECT_TRUE(client->wait_closed(kCommandTimeout));
}

}  // namespace
}  // namespace vmcore::qmp
