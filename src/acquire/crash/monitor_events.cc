// SPDX-License-Identifier: GPL-2.0-or-later
// PanicEvents of one guest, by QEMU's own monitor.
#include <utility>

#include "qmp/run_actions.h"
#include "src/acquire/crash/panic_events.h"
#include "src/acquire/qmp/whose.h"
#include "src/base/wall_clock.h"

namespace vmcore::acquire {
namespace {

using Kind = GuestEvent::Kind;
using qmp::Json;

// QEMU's RunState (qapi/run-state.json).
Kind kind_of_state(std::string_view state) {
  return state == "guest-panicked" ? Kind::panicked
         : state == "watchdog"     ? Kind::watchdog
         : state == "shutdown"     ? Kind::shutdown
         : state == qmp::kWasReset ? Kind::reset
                                   : Kind::started;
}

class MonitorEvents final : public PanicEvents {
 public:
  explicit MonitorEvents(std::shared_ptr<qmp::Client> monitor) : monitor_(std::move(monitor)) {}

  Result<> start() {
    const GuestIdentity identity =
        ask_identity([this](const std::string& command, const Json& arguments) {
          return monitor_->execute(command, arguments);
        });
    name_ = identity.name;
    uuid_ = identity.uuid;
    TRY_ASSIGN(const Json status, monitor_->execute("query-status"));
    found_ = event_of(kind_of_state(qmp::text_member(status, "status").value_or("")));
    found_->time = wall_clock();
    found_->found = true;
    return {};
  }

  int fd() const override { return monitor_ ? monitor_->fd() : -1; }

  std::optional<GuestEvent> next() override {
    if (found_) {
      return std::exchange(found_, std::nullopt);
    }
    while (monitor_) {
      auto event = monitor_->next_event();
      if (!event) {
        GuestEvent lost = event_of(Kind::connection_lost);
        lost.details = event.error().message.substr(0, kMaxDetails);
        monitor_.reset();
        return lost;
      }
      if (!*event) {
        break;
      }
      if (auto known = read(**event)) {
        return known;
      }
    }
    return std::nullopt;
  }

 private:
  GuestEvent event_of(Kind kind) const { return {.kind = kind, .name = name_, .uuid = uuid_}; }

  std::optional<GuestEvent> read(const qmp::Event& event) const {
    auto known = read_event(event);
    if (known) {
      known->name = name_;
      known->uuid = uuid_;
    }
    return known;
  }

  std::shared_ptr<qmp::Client> monitor_;  // null when the connection is lost
  std::string name_;
  std::string uuid_;
  std::optional<GuestEvent> found_;
};

}  // namespace

const std::vector<std::string> kGuestEvents{"GUEST_CRASHLOADED", "GUEST_PANICKED", "RESET",
                                            "SHUTDOWN", "WATCHDOG"};

std::string_view kind_name(Kind kind) {
  switch (kind) {
    case Kind::panicked:
      return "panicked";
    case Kind::panicked_runs:
      return "panicked-runs";
    case Kind::crash_loaded:
      return "crash-loaded";
    case Kind::after_crash:
      return "after-crash";
    case Kind::reset:
      return "reset";
    case Kind::shutdown:
      return "shutdown";
    case Kind::watchdog:
      return "watchdog";
    case Kind::started:
      return "started";
    case Kind::stopped:
      return "stopped";
    case Kind::reset_trapped:
      return "reset-trapped";
    case Kind::connection_lost:
      return "connection-lost";
  }
  return "";
}

std::optional<Kind> kind_named(std::string_view name) {
  for (int i = 0; i <= static_cast<int>(Kind::connection_lost); ++i) {
    const auto kind = static_cast<Kind>(i);
    if (kind_name(kind) == name) {
      return kind;
    }
  }
  return std::nullopt;
}

std::optional<Kind> kind_of_event(std::string_view name, const Json& data) {
  if (name == "GUEST_PANICKED") {
    // -action panic=none lets it run on.
    return qmp::text_member(data, "action") == "run" ? Kind::panicked_runs : Kind::panicked;
  }
  return name == "GUEST_CRASHLOADED" ? std::optional(Kind::crash_loaded)
         : name == "RESET"           ? std::optional(Kind::reset)
         : name == "SHUTDOWN"        ? std::optional(Kind::shutdown)
         : name == "WATCHDOG"        ? std::optional(Kind::watchdog)
                                     : std::nullopt;
}

std::optional<GuestEvent> read_event(const qmp::Event& event) {
  const auto kind = kind_of_event(event.name, event.data);
  if (!kind) {
    return std::nullopt;
  }
  return GuestEvent{
      .kind = *kind,
      .time = event.time,
      .details =
          event.data.dump(-1, ' ', true, Json::error_handler_t::replace).substr(0, kMaxDetails)};
}

Result<std::unique_ptr<PanicEvents>> events_of_monitor(std::shared_ptr<qmp::Client> monitor) {
  auto events = std::make_unique<MonitorEvents>(std::move(monitor));
  TRY(events->start());
  return events;
}

}  // namespace vmcore::acquire
