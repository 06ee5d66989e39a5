// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/base/whole_file.h"

#include <fcntl.h>

#include <cerrno>

#include "src/base/fd.h"
#include "src/base/sys.h"

namespace vmcore {

Result<std::string> read_all(int fd, std::string_view name, std::size_t most) {
  constexpr std::size_t kStep = 64U << 10;
  std::string text;
  for (;;) {
    const std::size_t had = text.size();
    text.resize(had + kStep);
    const auto got = sys::read_full(fd, std::as_writable_bytes(std::span(text).subspan(had)));
    if (!got) {
      return in_context(got.error(), name);
    }
    text.resize(had + *got);
    if (*got < kStep) {
      return text;
    }
    if (text.size() > most) {
      return fail(Errc::limit, "{}: the file has more than {} MiB", name, most >> 20);
    }
  }
}

Result<std::string> read_file(const std::string& path) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) {
    return fail_errno(errno, path);
  }
  return read_all(fd.get(), path);
}

std::string first_line(const std::string& path) {
  const std::string text = read_file(path).value_or("");
  return text.substr(0, text.find('\n'));
}

}  // namespace vmcore
