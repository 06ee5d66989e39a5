// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/cli/armed_guests.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <system_error>

#include "src/base/shell.h"
#include "src/control/ask.h"

namespace vmcore::cli {
namespace {

constexpr std::chrono::seconds kPatience{5};

std::string command_for(const acquire::Selection& guest, const std::string& name) {
  return guest.socket.empty()
             ? fmt::format("vmcorectl arm {}", shell_quoted(name))
             : fmt::format("vmcorectl arm --qmp {}", shell_quoted(guest.socket.string()));
}

}  // namespace

ArmedGuests::ArmedGuests(const std::string& control_socket)
    : answer_(
          control::ask(control_socket, {.verb = control::Verb::status, .all = true}, kPatience)) {}

Finding ArmedGuests::judge(const acquire::Selection& guest, const std::string& name) const {
  const Finding finding{.id = "armed", .title = "for a vmcored that keeps its crashes"};
  if (!answer_) {
    return with(finding, Verdict::note, answer_.error().message);
  }
  std::error_code error;
  const std::string socket =
      guest.socket.empty() ? "" : std::filesystem::weakly_canonical(guest.socket, error).string();
  const auto found = std::ranges::find_if(answer_->guests, [&](const control::GuestStatus& one) {
    return socket.empty() ? one.name == name || (!one.uuid.empty() && one.uuid == guest.domain)
                          : one.from == socket;
  });
  if (found == answer_->guests.end()) {
    return with(finding, Verdict::warn,
                guest.socket.empty() ? "vmcored does not watch this libvirt (vmcored -c URI)"
                                     : "vmcored does not watch the folder of its socket (vmcored "
                                       "--qmp-folder DIR)");
  }
  if (!found->armed) {
    return with(
        finding, Verdict::warn,
        "it is not armed: " + (found->missing.empty() ? command_for(guest, name) : found->missing));
  }
  if (!found->missing.empty()) {
    return with(finding, Verdict::warn, "it is armed, but " + found->missing);
  }
  Finding armed = finding;
  armed.value = found->trap_resets ? "armed, its resets are trapped" : "armed";
  return armed;
}

}  // namespace vmcore::cli
