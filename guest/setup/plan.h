// Plan: what setup is about to do.
#pragma once

#include <string>
#include <vector>

#include "guest/root/edit_text.h"
#include "guest/root/tree.h"

namespace vmcore::guest::setup {

struct Plan {
  explicit Plan(const root::Root& root) : tree(root) {}
  root::Tree tree;
  root::Words words;                 // that are put on command lines
  std::vector<std::string> notes;    // what is worth knowing
  std::vector<std::string> by_hand;  // what is left to do
};

// First line of the files that setup makes.
inline constexpr const char* kOurMark =
    "# Written by `vmcore-guest setup`; `vmcore-guest remove` takes it away.";

}  // namespace vmcore::guest::setup
