// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/base/printable.h"

#include <gtest/gtest.h>

#include <string>

#include "src/base/printable_start.h"

namespace vmcore {
namespace {

TEST(Printable, TextStays) {
  for (const char* const text :
       {"", "vm 1", "\u00e4\u20ac\U0001f600", "\u00a0", "\u200d", "\\x1b"}) {
    EXPECT_EQ(printable(text), text);
    EXPECT_TRUE(is_printable(text));
  }
}

TEST(Printable, ControlCharacters) {
  EXPECT_EQ(printable("a\nb\tc\x1b[2J\x7f"), "a\\x0ab\\x09c\\x1b[2J\\x7f");
  EXPECT_EQ(printable_lines("a\nb\tc\r"), "a\nb\tc\\x0d");
  EXPECT_EQ(printable(std::string_view("a\0b", 3)), "a\\x00b");
  EXPECT_EQ(printable("\u0080\u009b31m\u009f"), "\\xc2\\x80\\xc2\\x9b31m\\xc2\\x9f");
}

TEST(Printable, BidirectionalControls) {
  for (const char* const control :
       {"\u202a", "\u202b", "\u202c", "\u202d", "\u202e", "\u2066", "\u2067", "\u2068", "\u2069",
        "\u200e", "\u200f", "\u061c", "\u2028", "\u2029"}) {
    EXPECT_FALSE(is_printable(control));
    EXPECT_EQ(printable_lines(control).find(control), std::string::npos);
  }
  EXPECT_EQ(printable("a\u202ecba"), "a\\xe2\\x80\\xaecba");
  for (const char* const beside :
       {"\u2029\u202a", "\u202f", "\u2065", "\u206a", "\u200d", "\u2010"}) {
    EXPECT_EQ(is_printable(beside), std::string_view(beside).size() == 3) << beside;
  }
}

TEST(Printable, WhatIsNoUtf8) {
  EXPECT_EQ(printable("\x9b"
                      "31m"),
            "\\x9b31m");                                    // C1 to terminals of 8 bits
  EXPECT_EQ(printable("a\xc3"), "a\\xc3");                  // cut off
  EXPECT_EQ(printable("\xc0\x8a"), "\\xc0\\x8a");           // a newline in too many bytes
  EXPECT_EQ(printable("\xe0\x82\x9b"), "\\xe0\\x82\\x9b");  // U+009B, too
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // a surrogate
  EXPECT_EQ(printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");
  EXPECT_EQ(printable("\xff\u00e4"), "\\xff\u00e4");
}

TEST(PrintableStart, IsCutBetweenCharacters) {
  EXPECT_EQ(printable_start("abc", 3), "abc");
  EXPECT_EQ(printable_start("abcd", 3), "abc");
  EXPECT_EQ(printable_start("a\xc3\xa4", 3), "a\xc3\xa4");
  EXPECT_EQ(printable_start("a\xc3\xa4z", 2), "a");
  EXPECT_EQ(printable_start("a\x1b", 3), "a\\x");
  EXPECT_EQ(printable_start("", 0), "");
  EXPECT_EQ(printable_start("a\xc3", 9), "a\\xc3");
}

TEST(WholeCharacters, OnesThatHaveOnlyBegunAreLeft) {
  EXPECT_EQ(whole_characters(""), 0U);
  EXPECT_EQ(whole_characters("ab"), 2U);
  EXPECT_EQ(whole_characters("a\xc2"), 1U);
  EXPECT_EQ(whole_characters("a\xe2\x80"), 1U);
  EXPECT_EQ(whole_characters("a\xe2\x80\xae"), 4U);
  EXPECT_EQ(whole_characters("a\xf0\x9f\x98"), 1U);
  EXPECT_EQ(whole_characters("a\x80\x80\x80\x80"), 5U);  // never one: nothing is waited for
  EXPECT_EQ(whole_characters("\xff"), 1U);
}

}  // namespace
}  // namespace vmcore
