// SPDX-License-Identifier: GPL-2.0-or-later
// Plan: the changes that setup will make.
#pragma once

#include <string>
#include <vector>

#include "guest/root/edit_text.h"
#include "guest/root/tree.h"

namespace vmcore::guest::setup {

// The path of a program and its arguments.
using Command = std::vector<std::string>;

struct Plan {
  explicit Plan(const root::Root& root) : tree(root) {}
  root::Tree tree;
  root::Words words;                 // words that are added to command lines
  std::vector<std::string> notes;    // information for the user
  std::vector<std::string> by_hand;  // steps that the user must do
  std::vector<Command> overdue;      // commands that are needed although no file changes
};

// The first line of the files that setup creates.
inline constexpr const char* kOurMark =
    "# Written by `vmcore-guest setup`; `vmcore-guest remove` takes it away.";

}  // namespace vmcore::guest::setup
