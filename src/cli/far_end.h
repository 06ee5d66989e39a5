// The other end of --remote, which ssh started: its standard input is a pipe from whoever asked.
#pragma once

#include <string>

#include "src/base/result.h"

namespace vmcore::cli {

// What the asking end writes there when it has kept the dump.
inline constexpr char kKept = 'k';

// From now on the process ends as if interrupted when that pipe does, for no signal tells of that.
// Call once.
void end_with_stdin();

// Behind the dump on standard output: the trailer, which the asking end chose for this dump. Then
// waits for its word that the dump was kept. Errc::cancelled where it went without one.
Result<> ask_whether_kept(const std::string& trailer);

}  // namespace vmcore::cli
