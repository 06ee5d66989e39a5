// Running the vmcorectl of another host by ssh.
//
// Its standard input is a pipe from us, and it was told to end with it (--ends-with-stdin): when we
// are interrupted, killed, or cut off, it lets its guest run and ends as if it had been interrupted
// itself.
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

// A dump on `out` that the other end asks about before it goes on.
struct KeepAndTell {
  std::string trailer;  // what the other end writes behind it; it goes to nobody. Empty: none
  std::function<bool()>
      keep{};  // called when it came; whether the other end is told that it is kept
};

// Runs `vmcorectl WORDS...` there. What it prints goes to the descriptors `out` and `err`, where a
// failure of ssh is told as well. Errc::not_found where there is no vmcorectl, Errc::io where it
// could not be reached or was lost, Errc::cancelled where it did not end after an interruption.
Result<RemoteEnd> run_remote(const RemoteHost& host, const std::vector<std::string>& words, int out,
                             int err, const job::Interrupt& interrupt,
                             const KeepAndTell& dump = {});

}  // namespace vmcore::remote
