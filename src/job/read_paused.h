// What a guest tells as text while it stands still, held as for a dump: one moment, with registers.
#pragma once

#include <optional>

#include "src/job/dump_job.h"
#include "src/job/interrupt.h"
#include "src/job/read_job.h"

namespace vmcore::job {

struct PausedText {
  Result<TextResult> text;
  std::optional<GuestReport> guest;  // how it fared; empty where it was not touched
};

// A running guest is looked at before it is held, so that its kernel need not be searched for
// meanwhile, and runs again as soon as its memory is read. By method direct alone.
PausedText read_paused_guest(const acquire::Selection& guest, sandbox::Operation operation,
                             unsigned threads, Interrupt& interrupt);

}  // namespace vmcore::job
