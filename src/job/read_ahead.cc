// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/job/read_ahead.h"

#include "src/acquire/process/copy_request.h"
#include "src/image/page.h"

namespace vmcore::job {

Result<ReadAhead> ReadAhead::make(acquire::Guest& guest, std::uint64_t bytes) {
  TRY_ASSIGN(Fd file, sandbox::CopyRoom::make(bytes / kPageSize * kPageSize));
  TRY_ASSIGN(sandbox::CopyRoom room, sandbox::CopyRoom::map(file.get()));
  return ReadAhead(guest, std::move(file), std::move(room));
}

Result<ImageSource> ReadAhead::locate(std::span<const PhysRange> blocks) {
  told_.clear();
  auto source = blocks.empty() ? guest_->look() : guest_->locate(blocks);
  if (source) {
    told_ = source->pieces;
  }
  return source;
}

Result<> ReadAhead::copy(std::uint64_t entries) const {
  const acquire::GuestProcess* const process = guest_->process();
  if (process == nullptr) {
    return fail(Errc::malformed, "worker protocol: request to copy memory without a process");
  }
  return acquire::copy_for_worker(*process, told_, room_, entries);
}

}  // namespace vmcore::job
