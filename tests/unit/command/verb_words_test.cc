// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/command/verb_words.h"

#include <gtest/gtest.h>

#include <utility>

namespace vmcore {
namespace {

using Words = std::vector<std::string>;

constexpr Verb kVerbs[] = {{"check", "", nullptr, true},
                           {"dump", "", nullptr, true},
                           {"dmesg", "", nullptr, true},
                           {"rm", "", nullptr, false}};

Words first(Words words) {
  return verb_first(std::move(words), [](const std::string& option) {
    return option == "-c" || option == "--output" || option == "--qmp";
  });
}

TEST(VerbWords, OptionsBeforeTheVerbGoBehindIt) {
  EXPECT_EQ(first({"-c", "qemu:///session", "dump", "vm1", "-q"}),
            (Words{"dump", "-c", "qemu:///session", "vm1", "-q"}));
  EXPECT_EQ(first({"--connect=test:///default", "-q", "check"}),
            (Words{"check", "--connect=test:///default", "-q"}));
  EXPECT_EQ(first({"--output", "json", "check"}), (Words{"check", "--output", "json"}));
  EXPECT_EQ(first({"--qmp", "dump", "dump"}), (Words{"dump", "--qmp", "dump"}));
}

TEST(VerbWords, OtherLinesStay) {
  for (const Words& words : {Words{}, Words{"dump", "-c", "x", "vm1"}, Words{"--help"},
                             Words{"-V", "dump"}, Words{"-c"}, Words{"-c", "x"}, Words{"-q"}}) {
    EXPECT_EQ(first(words), words);
  }
}

TEST(VerbWords, HelpIsAVerb) {
  EXPECT_EQ(first({"help"}), Words{"--help"});
  EXPECT_EQ(first({"help", "dump", "more"}), (Words{"dump", "--help"}));
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
