// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/command/verb_words.h"

#include <gtest/gtest.h>

namespace vmcore {
namespace {

using Words = std::vector<std::string>;

constexpr Verb kVerbs[] = {{"check", "", nullptr, true},
                           {"dump", "", nullptr, true},
                           {"dmesg", "", nullptr, true},
                           {"rm", "", nullptr, false}};

TEST(VerbWords, OptionsBeforeTheVerbGoBehindIt) {
  EXPECT_EQ(verb_first({"-c", "qemu:///session", "dump", "vm1", "-q"}),
            (Words{"dump", "-c", "qemu:///session", "vm1", "-q"}));
  EXPECT_EQ(verb_first({"--connect=test:///default", "-q", "check"}),
            (Words{"check", "--connect=test:///default", "-q"}));
  EXPECT_EQ(verb_first({"--output", "json", "check"}), (Words{"check", "--output", "json"}));
}

TEST(VerbWords, OtherLinesStay) {
  for (const Words& words : {Words{}, Words{"dump", "-c", "x", "vm1"}, Words{"--help"},
                             Words{"-V", "dump"}, Words{"-c"}, Words{"-c", "x"}, Words{"-q"}}) {
    EXPECT_EQ(verb_first(words), words);
  }
}

TEST(VerbWords, HelpIsAVerb) {
  EXPECT_EQ(verb_first({"help"}), Words{"--help"});
  EXPECT_EQ(verb_first({"help", "dump", "more"}), (Words{"dump", "--help"}));
}

TEST(VerbWords, TheNearestVerbIsNamed) {
  EXPECT_EQ(nearest_verb(kVerbs, "dmup"), "dump");
  EXPECT_EQ(nearest_verb(kVerbs, "dumps"), "dump");
  EXPECT_EQ(nearest_verb(kVerbs, "dmseg"), "dmesg");
  EXPECT_EQ(nearest_verb(kVerbs, "chek"), "check");
  EXPECT_EQ(nearest_verb(kVerbs, "dance"), "");
  EXPECT_EQ(nearest_verb(kVerbs, "xy"), "");
  EXPECT_EQ(nearest_verb(kVerbs, std::string(1 << 20, 'd')), "");
  EXPECT_TRUE(has_verb(kVerbs, "rm"));
  EXPECT_FALSE(has_verb(kVerbs, "r"));
}

}  // namespace
}  // namespace vmcore
