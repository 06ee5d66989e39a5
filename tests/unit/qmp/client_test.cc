// SPDX-License-Identifier: GPL-2.0-or-later
#include "qmp/client.h"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <unistd.h>

#include <latch>

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
  EXPECT_EQ(client->execute("stop").error().code, Errc::limit);
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
