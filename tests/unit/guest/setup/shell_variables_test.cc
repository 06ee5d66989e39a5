// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/setup/shell_variables.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

namespace vmcore::guest::setup {
namespace {

std::string value(std::string_view script, std::string_view name = "A") {
  Variables variables;
  evaluate(script, variables);
  return value_of(variables, name);
}

// What a real shell makes of the script.
std::string by_shell(const std::string& script) {
  ::setenv("SCRIPT", (script + "\nprintf %s \"$A\"").c_str(), 1);
  FILE* const shell = ::popen("bash -c \"$SCRIPT\"", "r");
  std::string said(4096, '\0');
  said.resize(std::fread(said.data(), 1, said.size(), shell));
  ::pclose(shell);
  return said;
}

TEST(ShellVariables, AsTheShellReadsThem) {
  for (const char* script : {"A=1",
                             "A=1\nA=2",
                             "A='x y'",
                             "A=\"x y\"z",
                             "#A=1",
                             "A=1 # b",
                             "A=a#b",
                             "A=1;A=2",
                             "A=",
                             "B=1\nA=\"$B ${B}2\"",
                             "B=1\nA='$B'",
                             "A=1\nA+=' 2'",
                             "A=\"a\\\"b\"",
                             "A=\"a \\\n  b\"",
                             "export A=5",
                             "  A=1",
                             "true\nA=7",
                             "A=\"$A crashkernel=128M\"",
                             "if true; then\nA=3\nfi",
                             "A=x\\ y",
                             "A=\"'q'\"",
                             "A=\"#\"\nB=2"}) {
    EXPECT_EQ(value(script), by_shell(script)) << script;
  }
}

TEST(ShellVariables, WhatIsNotAssigned) {
  EXPECT_EQ(value("echo A=1"), "");
  EXPECT_EQ(value("AB=1"), "");
  EXPECT_EQ(value("A=$(echo b)"), "$(echo b)");  // no command is run
  EXPECT_EQ(value("A=\"unclosed"), "unclosed");
  EXPECT_EQ(value("A='unclosed"), "unclosed");
  EXPECT_EQ(value("A=$"), "$");
  EXPECT_EQ(value("A=1\\"), "1");
}

TEST(ShellVariables, Expanded) {
  EXPECT_EQ(expanded("$a ${b} $c.", {{"a", "1"}, {"b", "2 3"}}), "1 2 3 .");
}

}  // namespace
}  // namespace vmcore::guest::setup
