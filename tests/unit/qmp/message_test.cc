// SPDX-License-Identifier: GPL-2.0-or-later
#include "qmp/message.h"

#include <gtest/gtest.h>

namespace vmcore::qmp {
namespace {

TEST(MessageSplitter, CutsObjectsHoweverTheyArrive) {
  const std::string text = "{\"a\": {\"b\": [1, 2]}}\r\n{\n  \"c\": \"}{\\\"\"\n}\n";
  MessageSplitter splitter;
  std::vector<std::string> messages;
  for (const char byte : text) {
    splitter.feed({&byte, 1});
    const auto next = splitter.next();
    ASSERT_TRUE(next);
    if (*next) {
      messages.push_back(**next);
    }
  }
  ASSERT_EQ(messages.size(), 2U);
  EXPECT_EQ(messages[0], "{\"a\": {\"b\": [1, 2]}}");
  EXPECT_EQ(parse_object(messages[1])->at("c"), "}{\"");
  EXPECT_EQ(splitter.pending(), "");
}

TEST(MessageSplitter, ResynchronisesAt0xFF) {
  MessageSplitter splitter;
  splitter.feed("{\"half\": \"\xFF {\"whole\": 1}\n");
  const auto next = splitter.next();
  ASSERT_TRUE(next && *next);
  EXPECT_EQ(**next, "{\"whole\": 1}");
}

TEST(MessageSplitter, KeepsWholeMessagesBeforeAResync) {
  MessageSplitter splitter;
  splitter.feed("{\"a\":1}\n\xFF\xFF{\"b\":2}");
  EXPECT_EQ(**splitter.next(), "{\"a\":1}");
  EXPECT_EQ(**splitter.next(), "{\"b\":2}");
}

TEST(MessageSplitter, RefusesOtherText) {
  for (const char* text : {"QEMU 7.2.0 monitor", "[1]", "\"x\"", "}", "login: "}) {
    MessageSplitter splitter;
    splitter.feed(text);
    const auto next = splitter.next();
    ASSERT_FALSE(next) << text;
    EXPECT_EQ(next.error().code, Errc::not_recognised) << text;
    EXPECT_NE(splitter.pending(), "");
  }
}

TEST(MessageSplitter, RefusesDepthBeyondItsBound) {
  MessageSplitter splitter;
  splitter.feed("{\"a\":" + std::string(100'000, '['));
  const auto next = splitter.next();
  ASSERT_FALSE(next);
  EXPECT_EQ(next.error().code, Errc::limit);
}

TEST(MessageSplitter, RefusesLengthBeyondItsBound) {
  MessageSplitter splitter;
  splitter.feed("{\"a\": \"" + std::string(kMaxMessage + 1, 'x'));
  const auto next = splitter.next();
  ASSERT_FALSE(next);
  EXPECT_EQ(next.error().code, Errc::limit);
}

TEST(ParseObject, NeverThrows) {
  for (const char* text :
       {"{\"a\": }", "{\"a\": \"\xC0\x80\"}", "{]", "{\"a\": 1e999999}", "{'a': 1}"}) {
    const auto parsed = parse_object(text);
    if (!parsed) {
      EXPECT_EQ(parsed.error().code, Errc::malformed) << text;
    }
  }
}

TEST(Members, AreOfTheirKindOrNothing) {
  const Json json{{"text", "t"}, {"number", 7U}, {"negative", -7}, {"flag", true}};
  EXPECT_EQ(text_member(json, "text"), "t");
  EXPECT_EQ(text_member(json, "number"), std::nullopt);
  EXPECT_EQ(number_member(json, "number"), 7U);
  EXPECT_EQ(number_member(json, "negative"), std::nullopt);
  EXPECT_EQ(bool_member(json, "flag"), true);
  EXPECT_EQ(bool_member(json, "absent"), std::nullopt);
  EXPECT_EQ(text_member(Json::array(), "text"), std::nullopt);
}

}  // namespace
}  // namespace vmcore::qmp
