// SPDX-License-Identifier: GPL-2.0-or-later
// A guest to be judged.
#pragma once

#include <cstdint>
#include <string_view>

#include "src/base/finding.h"
#include "src/check/guest_facts.h"

namespace vmcore::check {

inline constexpr std::uint64_t kGiB = 1ULL << 30;

// A guest of 4 GiB that runs, of which 200 MiB are kept, with nothing to complain of.
inline GuestFacts good() {
  report::Summary census{.release = "6.1.0",
                         .level_asked = 31,
                         .level_reached = 31,
                         .ram_pages = 1U << 20,
                         .kept_pages = 51200,
                         .armed = true};
  return {.name = "vm1",
          .domain = "vm1",
          .setup = {.panic_device = true,
                    .vmcoreinfo_device = true,
                    .dump_channel = true,
                    .on_crash = "preserve",
                    .memory = "anonymous",
                    .persistent = true},
          .ways = {{acquire::Method::direct}, {acquire::Method::libvirt}},
          .state = acquire::GuestState{"running", true},
          .memory_size = 4 * kGiB,
          .census = std::move(census),
          .budget = {.memory = kGiB, .threads = 2},
          .folder = ".",
          .room = 100 * kGiB};
}

// Where memory cannot be read in place.
inline GuestFacts not_direct(Errc why) {
  GuestFacts facts = good();
  facts.ways = {{acquire::Method::direct, fail(why, "mem of process 7")},
                {acquire::Method::libvirt}};
  facts.census.reset();
  return facts;
}

inline bool says(const Finding& finding, std::string_view what) {
  return finding.hint.find(what) != std::string::npos;
}

}  // namespace vmcore::check
