// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/job/read_ahead.h"

#include "src/image/page.h"

namespace vmcore::job {

Result<ReadAhead> ReadAhead::make(const MemoryDesk& desk, std::uint64_t bytes) {
  TRY_ASSIGN(Fd file, sandbox::CopyRoom::make(bytes / kPageSize * kPageSize));
  TRY_ASSIGN(sandbox::CopyRoom room, sandbox::CopyRoom::map(file.get()));
  return ReadAhead(desk, std::move(file), std::move(room));
}

}  // namespace vmcore::job
