// SPDX-License-Identifier: GPL-2.0-or-later
// vmcore-holder UNTIL GUARDED WHOLE: see hold.h, terms.h.
#include <fcntl.h>

#include <charconv>
#include <cstdio>
#include <cstring>
#include <span>

#include "src/lease/hold.h"

int main(int argc, char** argv) {
  using namespace vmcore::lease;
  constexpr int kWords = 4;
  if (argc != kWords || ::fcntl(kControlFd, F_SETFD, FD_CLOEXEC) != 0) {
    std::fputs("vmcore-holder is started by vmcorectl, not by hand\n", stderr);
    return 2;
  }
  const std::span words(argv, kWords);
  Orders orders{.until = 0, .guarded = *words[2] == '1', .whole = *words[3] == '1'};
  std::from_chars(words[1], words[1] + std::strlen(words[1]), orders.until);
  return hold(orders);
}
