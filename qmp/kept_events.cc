// SPDX-License-Identifier: GPL-2.0-or-later
#include "qmp/kept_events.h"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace vmcore::qmp {

Result<> KeptEvents::keep(const Json& message) {
  const auto name = text_member(message, "event");
  if (!name) {
    return fail(Errc::malformed, "QEMU's monitor sent an event without a name");
  }
  if (std::ranges::find(names_, *name) == names_.end()) {
    return {};
  }
  const Json stamp = message.value("timestamp", Json::object());
  const auto seconds = number_member(stamp, "seconds").value_or(0);
  const auto micros = number_member(stamp, "microseconds").value_or(0);
  // A clock that QEMU could not read is sent as -1; so is one beyond any that could be summed.
  constexpr std::uint64_t kLatest = 1ULL << 40;
  const std::chrono::microseconds time =
      seconds < kLatest && micros < 1'000'000
          ? std::chrono::microseconds(static_cast<std::int64_t>(seconds * 1'000'000 + micros))
          : std::chrono::microseconds{};
  if (std::ranges::count(events_, *name, &Event::name) == kMaxEvents) {
    pop(*name);
  }
  events_.push_back({*name, time, message.value("data", Json::object())});
  return {};
}

std::optional<Event> KeptEvents::pop() {
  return events_.empty() ? std::nullopt : pop(events_.front().name);
}

std::optional<Event> KeptEvents::pop(std::string_view name) {
  const auto found =
      std::ranges::find_if(events_, [&](const Event& event) { return event.name == name; });
  if (found == events_.end()) {
    return std::nullopt;
  }
  Event event = std::move(*found);
  events_.erase(found);
  return event;
}

}  // namespace vmcore::qmp
