// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/check/judge_dump.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iterator>
#include <string>
#include <utility>

#include "src/acquire/commands.h"
#include "src/image/page.h"
#include "src/job/forecast.h"

namespace vmcore::check {
namespace {

// In the words of libvirt and of QEMU (acquire::GuestState).
bool says_crashed(const std::string& state) {
  return state.find("crashed") != std::string::npos || state.find("panicked") != std::string::npos;
}

std::uint64_t milliseconds(std::chrono::duration<double> time) {
  return static_cast<std::uint64_t>(std::chrono::ceil<std::chrono::milliseconds>(time).count());
}

using Numbers = decltype(Finding::numbers);

Numbers range_numbers(const char* what, std::chrono::duration<double> least,
                      std::chrono::duration<double> most) {
  return {{fmt::format("{}_least_ms", what), milliseconds(least)},
          {fmt::format("{}_most_ms", what), milliseconds(most)}};
}

std::string mebibytes(std::uint64_t bytes) { return fmt::format("{} MiB", bytes >> 20); }

template <class Time>
std::string seconds(Time time) {
  return fmt::format("{:.2f}", std::chrono::duration<double>(time).count());
}

job::Forecast forecast_of(const GuestFacts& facts, const report::Summary& census) {
  return job::forecast({.kept_bytes = census.kept_pages * kPageSize,
                        .page_struct_bytes = census.ram_pages * job::kPageStructSize,
                        .read_ahead = facts.budget.memory,
                        .threads = facts.budget.threads});
}

}  // namespace

Finding judge_state(const GuestFacts& facts) {
  Finding finding{.id = "state", .title = "for a guest with memory"};
  if (!facts.setup.active) {
    return with(finding, facts.may_be_off ? Verdict::note : Verdict::fail,
                "the guest is not running, so it has no memory to dump");
  }
  finding.value = facts.state ? facts.state->name : "";
  const report::Summary* census = census_of(facts);
  const bool runs = facts.state && facts.state->running;
  const std::string how = acquire::vmcorectl_command(facts.selection, "dump", facts.domain);
  if (runs && census != nullptr && census->crashed) {
    return with(finding, Verdict::warn, "it crashed, and still runs in its panic: " + how);
  }
  if (!runs && says_crashed(finding.value)) {
    return with(finding, Verdict::warn, "it crashed: " + how);
  }
  return finding;
}

Finding judge_idle(const GuestFacts& facts) {
  Finding finding{.id = "idle", .title = "for jobs and migrations that prevent a dump"};
  return facts.idle ? finding : with(finding, Verdict::fail, facts.idle.error().message);
}

std::vector<Finding> judge_ways(const GuestFacts& facts) {
  std::vector<Finding> findings;
  bool any = false;
  for (const Way& way : facts.ways) {
    const std::string_view name = acquire::method_name(way.method);
    Finding finding{.id = fmt::format("method.{}", name),
                    .title = fmt::format("for method {}", name)};
    any = any || way.usable;
    if (!way.usable) {
      const Error& why = way.usable.error();
      finding = with(finding, Verdict::warn, why.message);
      if (why.code == Errc::denied) {
        finding.hint += fmt::format("; here: {}", describe(facts.trace));
      }
    }
    findings.push_back(std::move(finding));
  }
  if (!any) {
    for (Finding& finding : findings) {
      finding.verdict = Verdict::fail;
    }
  }
  return findings;
}

Finding judge_kernel(const GuestFacts& facts) {
  Finding finding{.id = "kernel", .title = "for a Linux kernel in its memory"};
  if (const auto kind = acquire::check_kind(facts.setup.arch, facts.setup.mode); !kind) {
    return with(finding, Verdict::fail, kind.error().message);
  }
  if (facts.setup.mode == acquire::CpuMode::no_paging) {
    return with(finding, Verdict::warn,
                "the guest's CPUs do not use page tables yet (firmware or a boot loader): a dump "
                "would hold all of memory");
  }
  if (!facts.census) {
    return with(finding, Verdict::note, "not known without method direct");
  }
  const report::Summary* census = census_of(facts);
  if (census == nullptr) {
    const Error& error = facts.census->error();
    const bool only_looking = error.code == Errc::unsupported;
    return with(finding, only_looking ? Verdict::note : Verdict::fail, error.message);
  }
  finding.value = census->release;
  if (census->release.empty()) {
    return with(finding, Verdict::warn,
                "none was found: the guest is still booting (a dump would hold all of memory), or "
                "it is not a 64-bit Linux (a dump may be refused)");
  }
  if ((census->level_reached & census->level_asked) != census->level_asked) {
    return with(
        finding, Verdict::warn,
        fmt::format("a dump would hold more than level {} asks for: {}", census->level_asked,
                    census->remarks.empty() ? "" : census->remarks.back().text));
  }
  return finding;
}

// A guest without one is dumped from outside all the same.
Finding judge_capture_kernel(const GuestFacts& facts) {
  Finding finding{.id = "panic_kernel", .title = "for a capture kernel in the guest (kdump)"};
  const report::Summary* census = census_of(facts);
  if (census == nullptr || !census->armed) {
    return with(finding, Verdict::note, "not known");
  }
  if (!*census->armed) {
    return with(finding, Verdict::note,
                "none is loaded: crashes of this guest are dumped only from outside (in the guest: "
                "vmcore-guest setup)");
  }
  finding.value = "loaded";
  return finding;
}

Finding judge_pause(const GuestFacts& facts) {
  Finding finding{.id = "pause", .title = "for the pause of a dump"};
  if (facts.state && !facts.state->running) {
    finding.value = "none: the guest is not running";
    finding.numbers = {{"pause_ms", 0}};
  } else if (const report::Summary* census = census_of(facts)) {
    const job::Forecast expected = forecast_of(facts, *census);
    const std::string pause = facts.rehearsed
                                  ? fmt::format("{} s, as rehearsed", seconds(*facts.rehearsed))
                                  : fmt::format("{} to {} s", seconds(expected.pause.least),
                                                seconds(expected.pause.most));
    finding.value = fmt::format("about {}, of {} to {} s in all", pause,
                                seconds(expected.time.least), seconds(expected.time.most));
    finding.numbers = facts.rehearsed
                          ? Numbers{{"pause_ms", milliseconds(*facts.rehearsed)}}
                          : range_numbers("pause", expected.pause.least, expected.pause.most);
    std::ranges::move(range_numbers("time", expected.time.least, expected.time.most),
                      std::back_inserter(finding.numbers));
  } else if (!facts.usable(acquire::Method::direct)) {
    const auto pause = job::forecast_stream_pause(facts.memory_size);
    finding.value = fmt::format("about {} to {} s", seconds(pause.least), seconds(pause.most));
    finding.numbers = range_numbers("pause", pause.least, pause.most);
    return with(finding, Verdict::warn,
                "all of the guest's memory is read through a pipe: see method direct");
  } else {
    return with(finding, Verdict::note, "not known");
  }
  return finding;
}

Finding judge_room(const GuestFacts& facts) {
  Finding finding{.id = "room", .title = fmt::format("for room in {}", facts.folder.string())};
  if (!facts.room) {
    return with(finding, Verdict::fail, facts.room.error().message);
  }
  const bool through_pipe = !facts.usable(acquire::Method::direct);
  const report::Summary* census = census_of(facts);
  const job::Forecast expected = census != nullptr
                                     ? forecast_of(facts, *census)
                                     : job::forecast({.kept_bytes = facts.memory_size});
  // What comes through a pipe is laid down whole first.
  const std::uint64_t spool = through_pipe ? facts.memory_size : 0;
  const std::uint64_t likely = expected.size_bytes + spool;
  const std::uint64_t most = expected.most_size_bytes + spool;
  finding.value =
      fmt::format("{} {}{}, {} free", census != nullptr ? "about" : "at most",
                  mebibytes(census != nullptr ? expected.size_bytes : most),
                  spool != 0 ? ", including all of the guest's memory until it is filtered" : "",
                  mebibytes(*facts.room));
  finding.numbers = {{"likely_bytes", census != nullptr ? likely : most},
                     {"most_bytes", most},
                     {"free_bytes", *facts.room}};
  if (*facts.room < likely) {
    return with(finding, Verdict::fail,
                "make room, or write the dump into another folder (--file)");
  }
  if (*facts.room < most) {
    return with(finding, Verdict::warn,
                fmt::format("if the memory does not compress, the dump needs {}", mebibytes(most)));
  }
  return finding;
}

Finding judge_memory(const GuestFacts& facts) {
  Finding finding{.id = "memory",
                  .title = "for the backend of its memory",
                  .value = fmt::format("{}, {}", facts.setup.memory,
                                       facts.setup.memory_shared ? "shared" : "private")};
  if (facts.setup.memory.empty()) {
    finding.value = "";
    return with(finding, Verdict::note, "not known: this QEMU does not report it");
  }
  if (!facts.setup.memory_shared || !facts.setup.active) {
    return finding;
  }
  const std::string grows =
      fmt::format("the host's memory grows by up to {}", mebibytes(facts.memory_size));
  if (facts.usable(acquire::Method::direct)) {
    finding.hint = fmt::format("with virsh dump {}; with method direct it does not", grows);
    return finding;
  }
  return with(finding, Verdict::warn, fmt::format("with a dump {}: see method direct", grows));
}

Finding judge_leftovers(const GuestFacts& facts) {
  Finding finding{.id = "leftovers", .title = "for leftovers of earlier runs"};
  for (const std::string& name : facts.leftovers) {
    finding.value += (finding.value.empty() ? "" : ", ") + name;
  }
  if (facts.setup.snapshot_left_on) {
    return with(finding, Verdict::warn,
                "QEMU's migration capability background-snapshot is enabled: the next migration or "
                "dump by libvirt would be a snapshot; disable it with migrate-set-capabilities");
  }
  if (!facts.leftovers.empty()) {
    return with(finding, Verdict::warn,
                "incomplete dumps, or dumps that are running now: remove the incomplete ones");
  }
  return finding;
}

}  // namespace vmcore::check
