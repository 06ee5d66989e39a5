// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/control/control.h"

#include <gtest/gtest.h>

namespace vmcore::control {
namespace {

TEST(Control, ARequestIsReadAsItWasWritten) {
  const Request request{.verb = Verb::arm,
                        .guests = {"vm1", "a \"name\"\nof two lines"},
                        .socket = "/run/qemu/vm1.sock",
                        .all = true,
                        .uri = "qemu:///system",
                        .trap_resets = true};
  const std::string text = to_json(request);
  EXPECT_EQ(text.find('\n'), text.size() - 1);
  const auto read = request_from_json(text);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, request);
}

TEST(Control, AnAnswerIsReadAsItWasWritten) {
  const Answer answer{.guests = {{.name = "vm1",
                                  .uuid = "1b4e28ba",
                                  .from = "qemu:///system",
                                  .state = "watched",
                                  .armed = true,
                                  .on_crash_before = "restart"},
                                 {.name = "vm2", .error = "no such guest"}}};
  const auto read = answer_from_json(to_json(answer));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->guests, answer.guests);
  EXPECT_FALSE(read->error);
}

TEST(Control, ARefusalHasItsCode) {
  const auto read = answer_from_json(to_json(Answer{.error = Error{Errc::denied, "not you"}}));
  ASSERT_TRUE(read && read->error);
  EXPECT_EQ(read->error->code, Errc::denied);
  EXPECT_EQ(read->error->message, "not you");
}

TEST(Control, WhatIsNoRequestIsRefused) {
  const std::string good = to_json(Request{});
  EXPECT_TRUE(request_from_json(good));
  for (const auto& [from, to] :
       std::initializer_list<std::pair<const char*, const char*>>{{"status", "format"},
                                                                  {"control/1", "control/2"},
                                                                  {"[]", "[1]"},
                                                                  {"[]", "{}"},
                                                                  {"false", "0"},
                                                                  {"{", "["}}) {
    std::string text = good;
    text.replace(text.find(from), std::string_view(from).size(), to);
    EXPECT_FALSE(request_from_json(text)) << text;
  }
  EXPECT_FALSE(request_from_json(std::string(kMaxRequest + 1, ' ')));
}

}  // namespace
}  // namespace vmcore::control
