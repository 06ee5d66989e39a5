// SPDX-License-Identifier: GPL-2.0-or-later
// A process that belongs to another one, which has the other end of its standard input: the remote
// side of --remote, which ssh started, and a job of a service.
#pragma once

#include <string>

#include "src/base/result.h"

namespace vmcore::cli {

// The word that the asking side writes there when it has kept the dump.
inline constexpr char kKept = 'k';

// From now on the process ends as if interrupted when that pipe ends, because no signal reports
// that; unless report::kFinishWord came before. Call once.
void end_with_stdin();

// Writes the trailer, which the asking side chose for this dump, behind the dump on standard
// output. Then waits for the word that the dump was kept. Errc::cancelled if the pipe ends without
// it.
Result<> ask_whether_kept(const std::string& trailer);

}  // namespace vmcore::cli
