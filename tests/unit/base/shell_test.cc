// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/base/shell.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <string>
#include <vector>

#include "src/base/printable.h"

namespace vmcore {
namespace {

const std::vector<std::string> kWords{"",
                                      "vm1",
                                      "a b",
                                      "it's",
                                      "$(id)",
                                      "`id`",
                                      "a\nb",
                                      "\\",
                                      "'\"'",
                                      "*",
                                      "!x",
                                      "-n",
                                      "~",
                                      "#",
                                      "=ls",
                                      "a;b",
                                      "a&b|c>d",
                                      "{a,b}",
                                      "a\tb",
                                      "[a]",
                                      "\x1b[31m",
                                      "a\xff"
                                      "b",
                                      "\u009b",
                                      "\u202e"
                                      "cba",
                                      "a\u00e4b",
                                      "\x7f"
                                      "1",
                                      "\x01"
                                      "1",
                                      "?",
                                      "a=b",
                                      "%1",
                                      "^a^b"};

std::string read_back(const std::string& shell, const std::string& command) {
  FILE* const out = ::popen((shell + " -c " + single_quoted("printf %s " + command)).c_str(), "r");
  std::array<char, 64> text{};
  const std::size_t size = std::fread(text.data(), 1, text.size(), out);
  ::pclose(out);
  return {text.data(), size};
}

TEST(Shell, QuotedWordsAreReadBackAsTheyWere) {
  for (const std::string& word : kWords) {
    EXPECT_EQ(read_back("bash", shell_quoted(word)), word) << shell_quoted(word);
    EXPECT_EQ(read_back("sh", single_quoted(word)), word);
  }
}

TEST(Shell, WhatIsShownIsWhatIsPasted) {
  for (const std::string& word : kWords) {
    EXPECT_TRUE(is_printable(shell_quoted(word))) << printable(shell_quoted(word));
  }
}

TEST(Shell, PlainWordsStayReadable) {
  for (const char* const word : {"vm1", "/var/tmp/vm1-2026.vmcore", "qemu:///system", "a_b-c@d"}) {
    EXPECT_EQ(shell_quoted(word), word);
  }
  EXPECT_EQ(shell_command({"virsh", "-c", "qemu:///system", "destroy", "a;touch pwned"}),
            "virsh -c qemu:///system destroy 'a;touch pwned'");
}

}  // namespace
}  // namespace vmcore
