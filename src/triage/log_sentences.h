// SPDX-License-Identifier: GPL-2.0-or-later
// The sentences by which Linux tells that it crashed, or that something is wrong.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "src/report/crash_class.h"

namespace vmcore::triage {

// The class of a report that begins with this line; nothing where no report begins with it.
std::optional<report::CrashClass> begins_report(std::string_view line);

// The line that die() prints, with what stands in it before the number of the oops: "Oops: 0002" of
// "Oops: 0002 [#1] PREEMPT SMP". Nothing where it is none.
std::optional<std::string_view> die_line(std::string_view line);
// The class that such words tell; CrashClass::oops where they do not tell more.
report::CrashClass class_of_die(std::string_view words);

// Whether an earlier report, of the message's class or finer, tells of the reason.
enum class Cause : std::uint8_t { none, may_be, must_be };

struct PanicMessage {
  report::CrashClass crash = report::CrashClass::panic;
  Cause cause = Cause::none;
};
// `message` without "Kernel panic - not syncing: ".
PanicMessage panic_message(std::string_view message);

// Whether a report of class `crash` can be the reason of a panic of class `panic`.
bool can_cause(report::CrashClass crash, report::CrashClass panic);

}  // namespace vmcore::triage
