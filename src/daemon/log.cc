// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/daemon/log.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "src/base/printable.h"
#include "src/base/result.h"

namespace vmcore::daemon {
namespace {

// systemd names the device and inode of what it connected (systemd.exec(5), JOURNAL_STREAM).
bool is_journal() {
  const char* const stream = std::getenv("JOURNAL_STREAM");
  struct stat status {};
  return stream != nullptr && ::fstat(STDERR_FILENO, &status) == 0 &&
         fmt::format("{}:{}", status.st_dev, status.st_ino) == stream;
}

}  // namespace

void say(Priority priority, std::string_view about, std::string_view text) {
  static const bool journal = is_journal();
  const std::string level = journal ? fmt::format("<{}>", static_cast<int>(priority)) : "vmcored: ";
  const std::string subject = about.empty() ? "" : printable(about) + ": ";
  fmt::print(stderr, "{}{}{}\n", level, subject, printable(text));
}

}  // namespace vmcore::daemon
