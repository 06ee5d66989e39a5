// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/root/edit_text.h"

#include <gtest/gtest.h>

namespace vmcore::guest::root {
namespace {

bool is_options(std::string_view line) { return line.starts_with("options "); }

TEST(EditText, AddsALineOnALineOfItsOwn) {
  EXPECT_EQ(with_line("", "new"), "new\n");
  EXPECT_EQ(with_line("a\n", "new"), "a\nnew\n");
  EXPECT_EQ(with_line("a", "new"), "a\nnew\n");
  EXPECT_EQ(with_line("a\r\nb\r\n", "new"), "a\r\nb\r\nnew\r\n");
}

TEST(EditText, AddsWordsAndKeepsEndsOfLines) {
  EXPECT_EQ(with_words("title x\r\noptions a  \r\n", {"w", "v"}, is_options),
            "title x\r\noptions a  w v\r\n");
  EXPECT_EQ(with_words("options a", {"w"}, is_options), "options a w");
  EXPECT_EQ(with_words("#options a\n", {"w"}, is_options), "#options a\n");
}

TEST(EditText, SeesWordsBetweenBlanksAndQuotes) {
  EXPECT_TRUE(has_word("X=\"a crashkernel=128M\"\n", "crashkernel=128M"));
  EXPECT_TRUE(has_word("X='crashkernel=128M b'\n", "crashkernel=128M"));
  EXPECT_TRUE(has_word("X=crashkernel=128M", "crashkernel=128M"));
  EXPECT_FALSE(has_word("X=\"crashkernel=128M,high\"\n", "crashkernel=128M"));
  EXPECT_FALSE(has_word("X=\"nocrashkernel=128M\"\n", "crashkernel=128M"));
  EXPECT_FALSE(has_word("# X=\"crashkernel=128M\"\n", "crashkernel=128M"));
}

TEST(EditText, FindsTheLastWordOfAKind) {
  EXPECT_EQ(last_word_with("A=\"crashkernel=1M x\"\nB='y crashkernel=2M'\n#crashkernel=3M\n",
                           "crashkernel="),
            "crashkernel=2M");
  EXPECT_EQ(last_word_with("a b\n", "crashkernel="), "");
}

TEST(EditText, TakesWordsWithTheBlankBeforeThem) {
  EXPECT_EQ(without_words("options a w b\n", {"w"}), "options a b\n");
  EXPECT_EQ(without_words("options a w\r\n", {"w"}), "options a\r\n");
  EXPECT_EQ(without_words("X=\"w b\"\n", {"w"}), "X=\"b\"\n");
  EXPECT_EQ(without_words("X=\"w\"\n", {"w"}), "X=\"\"\n");
  EXPECT_EQ(without_words("options w a w wow\n", {"w"}), "options a wow\n");
  EXPECT_EQ(without_words("# a w\n", {"w"}), "# a w\n");
}

TEST(EditText, UndoesAddedLinesUnderLaterEdits) {
  const std::string before = "A=1";
  const std::string after = with_line(before, "B=\"$B w\"");
  EXPECT_EQ(undo_edit(before, after, "# mine\nA=2\nB=\"$B w\"\nC=3\n", {"w"}),
            "# mine\nA=2\nC=3\n");
}

TEST(EditText, UndoesChangedLinesUnderLaterEdits) {
  const std::string before = "title x\noptions a\n";
  const std::string after = with_words(before, {"w"}, is_options);
  EXPECT_EQ(undo_edit(before, after, "title y\noptions a w\n", {"w"}), "title y\noptions a\n");
  EXPECT_EQ(undo_edit(before, after, "title x\noptions a w mine\n", {"w"}),
            "title x\noptions a mine\n");
  EXPECT_EQ(undo_edit(before, after, "title x\noptions mine\n", {"w"}), "title x\noptions mine\n");
}

}  // namespace
}  // namespace vmcore::guest::root
