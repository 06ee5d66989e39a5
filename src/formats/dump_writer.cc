// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/formats/dump_writer.h"

#include "src/image/page.h"

namespace vmcore::formats {

Result<std::uint64_t> rank_of_run(const PageSet& kept, const PageRun& run) {
  const std::uint64_t count = run.bytes.size() / kPageSize;
  const std::uint64_t rank = kept.rank(run.first);
  if (run.bytes.size() % kPageSize != 0 || kept.rank(run.first + count) - rank != count) {
    return fail(Errc::invalid, "{} bytes at page frame {:#x} are not in the plan", run.bytes.size(),
                run.first.value);
  }
  return rank;
}

}  // namespace vmcore::formats
