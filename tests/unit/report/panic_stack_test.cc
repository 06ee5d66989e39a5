// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/report/panic_stack.h"

#include <gtest/gtest.h>

namespace vmcore::report {
namespace {

constexpr std::uint64_t kStack = 0xffffc90000003e80;

PanicStack a_stack() {
  return {.stack = 3,
          .frames = {{.address = 0xffffffff81000000,
                      .sp = kStack,
                      .registers = {{"rip", 0xffffffff81000000}, {"rsp", kStack}}},
                     {.address = 0xffffffff81000100, .sp = kStack + 16}},
          .parts = {{kStack, {0x8877665544332211, 2}}, {kStack + 16, {3}}}};
}

TEST(PanicStack, ThereAndBack) {
  const std::string text = to_json(a_stack());
  const auto again = panic_stack_from_json(text);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(to_json(*again), text);
  EXPECT_EQ(again->stack, 3U);
  ASSERT_EQ(again->frames.size(), 2U);
  EXPECT_EQ(again->frames[0].registers[1].value, kStack);
  EXPECT_EQ(again->parts[0].words[0], 0x8877665544332211);
}

TEST(PanicStack, Bytes) {
  const PanicStack stack = a_stack();
  EXPECT_EQ(stack.read(kStack, 8), 0x8877665544332211);
  EXPECT_EQ(stack.read(kStack + 1, 2), 0x3322);
  EXPECT_EQ(stack.read(kStack + 12, 8), 0x300000000) << "in two parts";
  EXPECT_FALSE(stack.read(kStack + 20, 8));
  EXPECT_FALSE(stack.read(kStack - 1, 1));
  EXPECT_FALSE(stack.read(0, 8));
  EXPECT_FALSE(stack.read(~0ULL, 8));
  EXPECT_FALSE(stack.read(kStack, 0));
  EXPECT_FALSE(stack.read(kStack, 9));
}

TEST(PanicStack, HostileDocuments) {
  for (const char* text :
       {"", "{}", R"({"stack":0,"frames":[],"parts":[{"address":0,"words":[-1]}]})",
        R"({"stack":0,"frames":[],"parts":[{"address":18446744073709551608,"words":[1,2]}]})",
        R"({"stack":99999999,"frames":[],"parts":[]})",
        R"({"stack":0,"frames":[{"address":1,"sp":2,"registers":{"rax":"x"}}],"parts":[]})"}) {
    EXPECT_FALSE(panic_stack_from_json(text)) << text;
  }
  std::string words = "1";
  for (int i = 0; i < 5000; ++i) {
    words += ",1";
  }
  const std::string part = R"({"address":0,"words":[)" + words + "]}";
  EXPECT_TRUE(panic_stack_from_json(R"({"stack":0,"frames":[],"parts":[)" + part + "]}"));
  EXPECT_FALSE(
      panic_stack_from_json(R"({"stack":0,"frames":[],"parts":[)" + part + "," + part + "]}"));
}

}  // namespace
}  // namespace vmcore::report
