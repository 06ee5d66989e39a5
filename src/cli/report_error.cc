#include "src/cli/report_error.h"

#include <cstdio>

#include "src/cli/exit_code.h"

namespace vmcore::cli {

int report_error(const Error& error) {
  fmt::print(stderr, "vmcorectl: {}\n", error.message);
  return error.code == Errc::cancelled ? kExitInterrupted : kExitFailed;
}

}  // namespace vmcore::cli
