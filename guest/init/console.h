// SPDX-License-Identifier: GPL-2.0-or-later
// Console: the console of a capture kernel.
#pragma once

#include <string_view>

namespace vmcore::guest::init {

class Console {
 public:
  // Borrows `fd`, which must be O_NONBLOCK.
  explicit Console(int fd) : fd_(fd) {}

  // Writes a line, given without its newline. If the console accepts nothing for a second, later
  // lines do not wait for it any more: what does not fit is lost.
  void say(std::string_view line);

 private:
  int fd_;
  bool patient_ = true;
};

}  // namespace vmcore::guest::init
