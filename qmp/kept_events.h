// SPDX-License-Identifier: GPL-2.0-or-later
// The events of QEMU's monitor that a caller will ask for, in the order of arrival.
//
// A guest can cause events without end, so only the latest of each name are kept.
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "qmp/message.h"
#include "src/base/result.h"

namespace vmcore::qmp {

// Events of one name that are kept until somebody asks for them.
inline constexpr std::size_t kMaxEvents = 1024;

struct Event {
  std::string name;
  std::chrono::microseconds time{};  // of QEMU's clock, since the epoch
  Json data;
};

class KeptEvents {
 public:
  // Events of other names are not kept.
  explicit KeptEvents(std::vector<std::string> names) : names_(std::move(names)) {}

  // Errc::malformed where the message is no event.
  Result<> keep(const Json& message);
  // The earliest of that name, which is then no longer kept.
  std::optional<Event> pop(std::string_view name);
  // The earliest of any name, which is then no longer kept.
  std::optional<Event> pop();
  void clear() { events_.clear(); }

 private:
  std::vector<std::string> names_;
  std::deque<Event> events_;
};

}  // namespace vmcore::qmp
