// SPDX-License-Identifier: GPL-2.0-or-later
// make_large_dump GIB FRAMES OUT: see large_dump.h.
#include <fcntl.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <string_view>

#include "src/base/fd.h"
#include "tests/builders/large_dump.h"

namespace vmcore {
namespace {

std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() ? value : 0;
}

int run(int argc, char** argv) {
  const std::uint64_t gibibytes = argc == 4 ? number(argv[1]) : 0;
  const std::uint64_t frames = argc == 4 ? number(argv[2]) : 0;
  if (gibibytes == 0 || gibibytes > 4096 || frames == 0) {
    std::fputs("usage: make_large_dump GIB FRAMES OUT\n", stderr);
    return 2;
  }
  const Fd file(::open(argv[3], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (const auto made = builders::make_large_dump(gibibytes, frames, file.get()); !made) {
    std::fprintf(stderr, "%s: %s\n", argv[3], made.error().message.c_str());
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace vmcore

int main(int argc, char** argv) { return vmcore::run(argc, argv); }
