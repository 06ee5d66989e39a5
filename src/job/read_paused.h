// SPDX-License-Identifier: GPL-2.0-or-later
// What a guest tells as text while it stands still, held as for a dump: one moment, with registers.
#pragma once

#include <chrono>
#include <optional>

#include "src/job/dump_job.h"
#include "src/job/interrupt.h"
#include "src/job/read_job.h"

namespace vmcore::job {

struct PausedText {
  Result<TextResult> text;
  std::optional<GuestReport> guest;  // how it fared; empty where it was not touched
};

// Carries out the request for an open guest (whose RAM is filled in), and records in `report` what
// happens to the guest. Errc::cancelled when `cancel` becomes readable.
Result<TextResult> read_held(acquire::Guest& guest, sandbox::Request request, GuestReport& report,
                             std::chrono::milliseconds pause_limit, int cancel,
                             std::vector<sandbox::NamedFd> descriptors = {});

// A running guest is looked at before it is held, so that its kernel need not be searched for
// meanwhile, and runs again as soon as its memory is read, at the latest when `pause_limit` is over
// (Errc::limit; zero: no limit). By method direct alone.
PausedText read_paused_guest(const acquire::Selection& guest, sandbox::Operation operation,
                             unsigned threads, std::chrono::milliseconds pause_limit,
                             Interrupt& interrupt);

}  // namespace vmcore::job
