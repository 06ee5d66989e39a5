// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/job/guest_census.h"

#include <span>
#include <utility>
#include <vector>

#include "src/job/look_live.h"
#include "src/job/memory_desk.h"
#include "src/job/place_cache.h"
#include "src/job/read_ahead.h"
#include "src/job/run_worker.h"

namespace vmcore::job {

Result<report::Summary> take_census(acquire::Guest& guest, bool running, unsigned threads,
                                    unsigned level) {
  TRY_ASSIGN(const auto desk, MemoryDesk::open(guest, threads));
  TRY_ASSIGN(const std::uint64_t ram, guest.memory_size());
  TRY_ASSIGN(sandbox::Done done,
             run_worker({.input = sandbox::LiveInput{.torn = running},
                         .ram = ram,
                         .how = {.level = level, .threads = threads, .dry_run = true},
                         .hint = recall_place(guest)},
                        desk->descriptors(), {.locate = [&](std::span<const PhysRange>) {
                          return desk->locate([&] { return look_live(guest); });
                        }}));
  remember_place(guest, done.place);
  return std::move(done.summary);
}

std::optional<std::chrono::microseconds> rehearse_pause(acquire::Guest& guest, std::uint64_t memory,
                                                        unsigned threads) {
  std::optional<std::chrono::microseconds> pause;
  const auto on_ready = [&](const sandbox::Ready& ready) -> Result<Fd> {
    if (ready.pause_us != 0) {
      pause = std::chrono::microseconds(ready.pause_us);
    }
    return fail(Errc::cancelled, "a rehearsal");
  };
  static_cast<void>([&]() -> Result<> {
    TRY_ASSIGN(const std::uint64_t ram, guest.memory_size());
    TRY_ASSIGN(const auto desk, MemoryDesk::open(guest, threads));
    TRY_ASSIGN(const auto ahead, ReadAhead::make(*desk, memory));
    std::vector<sandbox::NamedFd> descriptors = desk->descriptors();
    descriptors.push_back({"room", ahead.room()});
    TRY(run_worker(
        {.input = sandbox::ProcessInput{.rehearsal = true, .copied = true},
         .ram = ram,
         .how = {.threads = threads},
         .hint = recall_place(guest)},
        descriptors,
        {.on_ready = on_ready,
         .locate = [&](std::span<const PhysRange> blocks) { return desk->locate(blocks); },
         .copy = [&](std::uint64_t entries) { return ahead.copy(entries); }}));
    return {};
  }());
  return pause;
}

}  // namespace vmcore::job
