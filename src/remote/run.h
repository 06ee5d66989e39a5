// SPDX-License-Identifier: GPL-2.0-or-later
// Runs the vmcorectl of another host by ssh.
//
// Its standard input is a pipe from us, and it is told to end with that pipe (--ends-with-stdin):
// when we are interrupted, killed or disconnected, it lets its guest run and ends as if it had been
// interrupted itself.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "src/base/result.h"
#include "src/job/interrupt.h"
#include "src/remote/host.h"

namespace vmcore::remote {

struct RemoteEnd {
  int code = 0;         // its exit code
  std::string version;  // what `vmcorectl --version` said there
};

// A dump on `out` about which the remote vmcorectl asks before it continues.
struct KeepAndTell {
  std::string trailer;  // what the other end writes behind it; it goes to nobody. Empty: none
  std::function<bool()>
      keep{};  // called when it came; whether the other end is told that it is kept
};

// Runs `vmcorectl WORDS...` on that host. Its output goes to the descriptors `out` and `err`;
// failures of ssh go to `err` as well. Errc::not_found if that host has no vmcorectl, Errc::io if
// it was not reached or the connection was lost, Errc::cancelled if it did not exit after an
// interruption.
Result<RemoteEnd> run_remote(const RemoteHost& host, const std::vector<std::string>& words, int out,
                             int err, const job::Interrupt& interrupt,
                             const KeepAndTell& dump = {});

}  // namespace vmcore::remote
