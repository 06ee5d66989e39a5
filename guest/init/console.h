// Console: where a capture kernel tells how it gets on, to whoever may be there to read it.
#pragma once

#include <string_view>

namespace vmcore::guest::init {

class Console {
 public:
  // `fd` is O_NONBLOCK, and borrowed.
  explicit Console(int fd) : fd_(fd) {}

  // A line, without its newline. One that takes nothing for a second is not waited for again: of
  // what is said from then on, it gets what it has room for.
  void say(std::string_view line);

 private:
  int fd_;
  bool patient_ = true;
};

}  // namespace vmcore::guest::init
