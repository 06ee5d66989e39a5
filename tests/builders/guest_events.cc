// SPDX-License-Identifier: GPL-2.0-or-later
// guest_events URI | guest_events --qmp SOCKET: the PanicEvents of the guests of a libvirt, or of
// the guest of a monitor, one a line until the connection is lost: KIND NAME UUID found|now
// DETAILS. A dash stands for what is empty. Ends when standard input does.
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <string_view>

#include "src/acquire/crash/panic_events.h"
#include "src/acquire/qmp/monitor.h"

namespace vmcore::acquire {
namespace {

using Events = Result<std::unique_ptr<PanicEvents>>;

Events open_events(int argc, char** argv) {
  if (argc == 3 && argv[1] == std::string_view("--qmp")) {
    TRY_ASSIGN(auto monitor, open_monitor({.socket = argv[2]}, kGuestEvents));
    return events_of_monitor(std::move(monitor));
  }
  return argc == 2 ? events_of_libvirt(argv[1])
                   : fail(Errc::invalid, "give a URI, or --qmp SOCKET");
}

void print(const GuestEvent& event) {
  const auto shown = [](const std::string& text) { return text.empty() ? "-" : text; };
  fmt::print("{} {} {} {} {}\n", kind_name(event.kind), shown(event.name), shown(event.uuid),
             event.found ? "found" : "now", shown(event.details));
  std::fflush(stdout);
}

int follow(PanicEvents& events) {
  while (true) {
    while (const auto event = events.next()) {
      print(*event);
      if (event->kind == GuestEvent::Kind::connection_lost) {
        return 0;
      }
    }
    std::array<pollfd, 2> waits{pollfd{events.fd(), POLLIN, 0}, pollfd{STDIN_FILENO, POLLIN, 0}};
    ::poll(waits.data(), waits.size(), -1);
    if (waits[1].revents != 0) {
      return 0;
    }
  }
}

}  // namespace
}  // namespace vmcore::acquire

int main(int argc, char** argv) {
  auto events = vmcore::acquire::open_events(argc, argv);
  if (!events) {
    fmt::print(stderr, "guest_events: {}\n", events.error().message);
    return 1;
  }
  return vmcore::acquire::follow(**events);
}
