// SPDX-License-Identifier: GPL-2.0-or-later
// vmcore-guardian ACTION=VALUE...: see guardian.h. It ends with what it waits for, and not with the
// signals that end vmcored.
#include <signal.h>

#include <cstdio>
#include <string>
#include <vector>

#include "src/guardian/guardian.h"

int main(int argc, char** argv) {
  using namespace vmcore;
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGPIPE}) {
    ::signal(signal, SIG_IGN);
  }
  const auto before =
      qmp::actions_from(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc));
  if (!before) {
    fmt::print(stderr, "vmcore-guardian is started by vmcored: {}\n", before.error().message);
    return 2;
  }
  const char said = guardian::watch(guardian::kLineFd);
  if (said == guardian::kDone) {
    return 0;
  }
  const Result<> done = guardian::take_over(Fd(guardian::kMonitorFd), said, *before);
  if (!done) {
    fmt::print(stderr, "vmcore-guardian: {}\n", done.error().message);
  }
  return done ? 0 : 1;
}
