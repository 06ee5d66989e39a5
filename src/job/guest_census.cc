// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/job/guest_census.h"

#include "src/job/look_live.h"
#include "src/job/memory_desk.h"
#include "src/job/place_cache.h"
#include "src/job/run_worker.h"

namespace vmcore::job {

Result<report::Summary> take_census(acquire::Guest& guest, bool running, unsigned threads) {
  TRY_ASSIGN(const auto desk, MemoryDesk::open(guest, threads));
  TRY_ASSIGN(const std::uint64_t ram, guest.memory_size());
  TRY_ASSIGN(sandbox::Done done,
             run_worker({.input = sandbox::LiveInput{.torn = running},
                         .ram = ram,
                         .how = {.threads = threads, .dry_run = true},
                         .hint = recall_place(guest)},
                        desk->descriptors(), {.locate = [&](std::span<const PhysRange>) {
                          return desk->locate([&] { return look_live(guest); });
                        }}));
  remember_place(guest, done.place);
  return std::move(done.summary);
}

}  // namespace vmcore::job
