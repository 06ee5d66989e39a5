// SPDX-License-Identifier: GPL-2.0-or-later
#include "qmp/run_actions.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <thread>

namespace vmcore::qmp {
namespace {

struct Action {
  std::string_view name;
  std::string RunActions::*member;
  std::array<std::string_view, 4> values;
};

constexpr Action kActions[] = {
    {"reboot", &RunActions::reboot, {"reset", "shutdown"}},
    {"shutdown", &RunActions::shutdown, {"poweroff", "pause"}},
    // exit-failure: QEMU 7.1 (c753e8e72557)
    {"panic", &RunActions::panic, {"shutdown", "exit-failure", "pause", "none"}},
};

// "panic=pause". False for what is not known; a watchdog's action, for one.
bool take_word(std::string_view word, RunActions& actions) {
  const std::size_t equals = std::min(word.find('='), word.size());
  const std::string_view name = word.substr(0, equals);
  const std::string_view value = word.substr(std::min(equals + 1, word.size()));
  for (const Action& action : kActions) {
    if (name == action.name && !value.empty() &&
        std::ranges::find(action.values, value) != action.values.end()) {
      actions.*action.member = value;
      return true;
    }
  }
  return false;
}

void take_option(std::string_view option, RunActions& actions) {
  while (!option.empty()) {
    const std::size_t end = std::min(option.find(','), option.size());
    take_word(option.substr(0, end), actions);
    option.remove_prefix(std::min(end + 1, option.size()));
  }
}

constexpr Milliseconds kQuitTimeout{10'000};

// QEMU's main loop resets soon after it has answered; a guest that stood still is in prelaunch
// then.
Result<> wait_for_reset(Client& monitor, std::string_view before, Milliseconds longest) {
  constexpr std::chrono::milliseconds kLookEvery{1};
  for (const auto deadline = Clock::now() + longest; Clock::now() < deadline;
       std::this_thread::sleep_for(kLookEvery)) {
    TRY_ASSIGN(const std::string now, status_of(monitor));
    if (now != before) {
      return {};
    }
  }
  return fail(Errc::busy, "QEMU does not reset its guest");
}

}  // namespace

RunActions actions_of(const std::vector<std::string>& words) {
  RunActions actions = kQemuActions;
  for (std::size_t i = 1; i < words.size(); ++i) {
    std::string_view word = words[i];
    word.remove_prefix(word.starts_with("--") ? 1 : 0);
    if (word == "-no-reboot") {
      actions.reboot = "shutdown";
    } else if (word == "-no-shutdown") {
      actions.shutdown = "pause";
    } else if (word == "-action" && i + 1 < words.size()) {
      take_option(words[++i], actions);
    }
  }
  return actions;
}

std::vector<std::string> words_of(const RunActions& actions) {
  std::vector<std::string> words;
  for (const Action& action : kActions) {
    if (const std::string& value = actions.*action.member; !value.empty()) {
      words.push_back(fmt::format("{}={}", action.name, value));
    }
  }
  return words;
}

Result<RunActions> actions_from(const std::vector<std::string>& words) {
  RunActions actions;
  for (const std::string& word : words) {
    if (!take_word(word, actions)) {
      return fail(Errc::malformed, "\"{}\" is no action of QEMU", word);
    }
  }
  return actions;
}

namespace {

Result<> set_at_once(Client& monitor, const RunActions& actions) {
  Json arguments = Json::object();
  for (const Action& action : kActions) {
    if (const std::string& value = actions.*action.member; !value.empty()) {
      arguments[std::string(action.name)] = value;
    }
  }
  const auto done = monitor.execute("set-action", arguments);
  if (!done && done.error().code == Errc::unsupported) {
    return fail(Errc::unsupported,
                "this QEMU cannot change what it does when its guest panics or resets: that takes "
                "QEMU 6.0");
  }
  TRY(done);
  return {};
}

}  // namespace

// QEMU asks for `reboot` when its guest resets, and for `shutdown` a moment later, in its main loop
// (qemu_system_reset_request(), main_loop_should_exit(), softmmu/runstate.c). A reset that the trap
// has turned into a shutdown must still find `pause` there.
Result<> set_actions(Client& monitor, const RunActions& actions) {
  if (actions.shutdown == "poweroff" && !actions.reboot.empty()) {
    TRY(set_at_once(monitor, {.reboot = actions.reboot}));
  }
  return set_at_once(monitor, actions);
}

std::optional<Wanted> wanted_by(const Json& data) {
  const std::string reason = text_member(data, "reason").value_or("");
  return reason == "guest-reset" || reason == "host-qmp-system-reset" ? std::optional(Wanted::reset)
         : reason == "guest-shutdown" ? std::optional(Wanted::shutdown)
                                      : std::nullopt;
}

Course course_of(Wanted wanted, const RunActions& before) {
  if (wanted == Wanted::reset && before.reboot != "shutdown") {
    return Course::reset;
  }
  return before.shutdown == "pause" ? Course::stay : Course::quit;
}

// With reboot=shutdown QEMU would trap a reset by its monitor as well.
Result<> reset_guest(Client& monitor, const RunActions& then, Milliseconds longest) {
  TRY_ASSIGN(const std::string before, status_of(monitor));
  const bool ran = before == "running";
  if (before != kWasReset) {
    TRY(set_actions(monitor, {.reboot = "reset"}));
    TRY(monitor.execute("system_reset"));
    TRY(ran ? Result<>() : wait_for_reset(monitor, before, longest));
  }
  TRY(set_actions(monitor, then));
  if (!ran) {
    TRY(monitor.execute("cont"));
  }
  return {};
}

Result<> resume(Client& monitor) {
  TRY(monitor.execute("cont"));
  return {};
}

Result<> quit(Client& monitor) {
  const auto told = monitor.execute("quit");
  if (!told && told.error().code != Errc::not_found) {
    return tl::unexpected(told.error());
  }
  return monitor.wait_closed(kQuitTimeout);
}

Result<> follow(Client& monitor, Course course, const RunActions& then) {
  switch (course) {
    case Course::reset:
      return reset_guest(monitor, then);
    case Course::quit:
      return quit(monitor);
    case Course::stay:
      return set_actions(monitor, then);
  }
  return {};
}

Result<std::string> status_of(Client& monitor) {
  TRY_ASSIGN(const Json status, monitor.execute("query-status"));
  return text_member(status, "status").value_or("");
}

}  // namespace vmcore::qmp
