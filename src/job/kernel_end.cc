// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/job/kernel_end.h"

#include <algorithm>
#include <utility>

#include "src/job/read_job.h"

namespace vmcore::job {
namespace {

struct Words {
  std::string_view text;
  KernelEnd end;
  bool powers_off = false;
};

constexpr Words kPanic{"Kernel panic - not syncing", KernelEnd::panicked};

// The last of them counts. Sources: kernel/reboot.c (the messages of kernel_restart(),
// kernel_halt() and kernel_power_off(), since v2.6), drivers/tty/sysrq.c (b, o),
// arch/x86/kernel/dumpstack.c and mm/fault.c, lib/bug.c, arch/arm64/kernel/traps.c.
constexpr Words kLastWords[] = {
    {"Restarting system", KernelEnd::orderly},      {"Power down", KernelEnd::orderly, true},
    {"System halted", KernelEnd::orderly},          {"sysrq: Resetting", KernelEnd::orderly},
    {"sysrq: Power Off", KernelEnd::orderly, true}, {"Oops: ", KernelEnd::oopsed},
    {"kernel BUG at ", KernelEnd::oopsed},          {"BUG: unable to handle", KernelEnd::oopsed},
    {"general protection", KernelEnd::oopsed},      {"double fault", KernelEnd::oopsed},
    {"Unable to handle kernel", KernelEnd::oopsed},
};

std::string line_at(std::string_view log, std::size_t place) {
  constexpr std::size_t kMost = 400;
  const std::size_t before = log.rfind('\n', place);
  const std::size_t begin = before == log.npos ? 0 : before + 1;
  return std::string(log.substr(begin, std::min(log.find('\n', place) - begin, kMost)));
}

constexpr std::pair<KernelEnd, std::string_view> kNames[] = {{KernelEnd::panicked, "panicked"},
                                                             {KernelEnd::oopsed, "oopsed"},
                                                             {KernelEnd::orderly, "orderly"},
                                                             {KernelEnd::silent, "silent"}};

}  // namespace

std::string_view end_name(KernelEnd end) {
  return std::ranges::find(kNames, end, &std::pair<KernelEnd, std::string_view>::first)->second;
}

std::optional<KernelEnd> end_from_name(std::string_view name) {
  for (const auto& [end, known] : kNames) {
    if (name == known) {
      return end;
    }
  }
  return std::nullopt;
}

KernelEnding ending_of(std::string_view log) {
  if (const std::size_t place = log.find(kPanic.text); place != log.npos) {
    return {kPanic.end, line_at(log, place)};
  }
  KernelEnding ending;
  std::size_t last = 0;
  for (const Words& words : kLastWords) {
    const std::size_t place = log.rfind(words.text);
    if (place != log.npos && place >= last) {
      last = place;
      ending = {words.end, line_at(log, place), words.powers_off};
    }
  }
  return ending;
}

Result<KernelEnding> look_at_end(const acquire::Selection& guest,
                                 const std::function<Result<>()>& await) {
  constexpr auto kWhat = sandbox::Operation::dmesg;
  TRY_ASSIGN(const TextResult log,
             await ? read_guest_later(guest, kWhat, 1, await) : read_guest(guest, kWhat, 1));
  return ending_of(log.text);
}

}  // namespace vmcore::job
