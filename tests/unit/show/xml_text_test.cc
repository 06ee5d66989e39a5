// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/show/xml_text.h"

#include <gtest/gtest.h>

namespace vmcore::show {
namespace {

constexpr const char* kBad = "\ufffd";

std::string text(std::string_view bytes) { return xml_text(bytes, 1000); }

TEST(XmlText, MarkupIsEscaped) {
  EXPECT_EQ(text("a<b>&\"c'"), "a&lt;b&gt;&amp;&quot;c&#39;");
  EXPECT_EQ(text("]]>"), "]]&gt;");
  EXPECT_EQ(text(""), "");
}

TEST(XmlText, CharactersOfEveryLengthStay) {
  const std::string all = "vm-1 \u00a0 \u00e9 \u20ac \ud7ff \ue000 \ufffd \U0001f427 \U0010fffd";
  EXPECT_EQ(text(all), all);
}

TEST(XmlText, ControlCharactersAndNoncharacters) {
  for (const std::string_view bad : {std::string_view("\0", 1), std::string_view("\x1b"),
                                     std::string_view("\n"), std::string_view("\x7f")}) {
    EXPECT_EQ(text(bad), kBad);
  }
  for (const std::string_view bad : {"\u0085", "\ufffe", "\uffff"}) {
    EXPECT_EQ(text(bad).substr(0, 3), kBad);
  }
}

TEST(XmlText, WhatIsNoUtf8) {
  for (const std::string_view bad :
       {"\x80", "\xff", "\xc3", "\xe2\x82", "\xf0\x9f\x90", "\xc0\xaf", "\xe0\x80\xaf",
        "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xf0\x80\x80\xaf"}) {
    std::string expected;
    for (std::size_t i = 0; i < bad.size(); ++i) {
      expected += kBad;
    }
    EXPECT_EQ(text(bad), expected);
  }
  EXPECT_EQ(text("\xe2\x82<"), std::string(kBad) + kBad + "&lt;");
}

TEST(XmlText, IsCutBetweenCharacters) {
  EXPECT_EQ(xml_text("\u20ac\u20ac\u20ac", 2), "\u20ac\u20ac\u2026");
  EXPECT_EQ(xml_text("abc", 3), "abc");
  EXPECT_EQ(xml_text("abcd", 3), "abc\u2026");
}

}  // namespace
}  // namespace vmcore::show
