// SPDX-License-Identifier: GPL-2.0-or-later
// What QEMU does when its guest resets, powers off or panics (run-state actions, QEMU 6.0:
// `-action` on its command line, set-action by its monitor); and the reset trap, which makes a
// guest stop before it resets or powers off, with its memory whole.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "qmp/client.h"
#include "qmp/message.h"
#include "src/base/result.h"

namespace vmcore::qmp {

// In QEMU's words. An empty action is not set.
struct RunActions {
  std::string reboot = {};    // "reset", "shutdown"
  std::string shutdown = {};  // "poweroff", "pause"
  std::string panic = {};     // "shutdown", "exit-failure", "pause", "none"
  bool operator==(const RunActions&) const = default;
};

// QEMU's defaults (softmmu/runstate-action.c, v6.0 to v11.0).
inline const RunActions kQemuActions{"reset", "poweroff", "shutdown"};
// A guest that resets, powers off or panics stops, with status shutdown or guest-panicked.
inline const RunActions kTrap{"shutdown", "pause", "pause"};

// What the command line asks for: -action, -no-reboot, -no-shutdown; the last one counts, as in
// QEMU. QEMU does not tell what it does now. A file of -readconfig is not read.
RunActions actions_of(const std::vector<std::string>& command_line);

// "reboot=reset", as a record and a command line have them.
std::vector<std::string> words_of(const RunActions& actions);
// Errc::malformed for a word that QEMU does not know.
Result<RunActions> actions_from(const std::vector<std::string>& words);

// Errc::unsupported for a QEMU before 6.0. A guest that resets at the same time resets, or stands
// in the trap: QEMU never ends because of it.
Result<> set_actions(Client& monitor, const RunActions& actions);

// What a guest that stopped in the trap was about to do.
enum class Wanted : std::uint8_t { reset, shutdown };

// By the data of QEMU's event SHUTDOWN; nothing if that is no deed of the guest: QEMU itself ends.
std::optional<Wanted> wanted_by(const Json& data);

// What QEMU would have done with those actions.
enum class Course : std::uint8_t { reset, quit, stay };
Course course_of(Wanted wanted, const RunActions& before);

// The guest boots again, whether it runs or stands still, with the actions `then` from its first
// instruction on. One that was reset already is carried on. Errc::busy if QEMU has not reset a
// guest that stood still by `longest`.
inline constexpr Milliseconds kResetTimeout{10'000};
Result<> reset_guest(Client& monitor, const RunActions& then, Milliseconds longest = kResetTimeout);
// The guest runs on.
Result<> resume(Client& monitor);
// QEMU ends. Returns when its monitor has closed.
Result<> quit(Client& monitor);

// Carries out the course for a guest that stands in the trap, with the actions `then` afterwards.
Result<> follow(Client& monitor, Course course, const RunActions& then);

// QEMU's status: "shutdown" of a guest in the trap.
Result<std::string> status_of(Client& monitor);
inline constexpr std::string_view kTrapped = "shutdown";
inline constexpr std::string_view kPanicked = "guest-panicked";
// Of a guest that stood still when it was reset, and was not carried on; also of one that QEMU
// (-S) has not started yet.
inline constexpr std::string_view kWasReset = "prelaunch";

}  // namespace vmcore::qmp
