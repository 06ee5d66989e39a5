// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/commands.h"

#include "src/base/shell.h"

namespace vmcore::acquire {
namespace {

// The connection URI for the reader of the message.
std::string connection(const Selection& guest) {
  if (!guest.asked_as.empty()) {
    return " -c " + shell_quoted(guest.asked_as);
  }
  return guest.uri.empty() ? "" : " -c " + shell_quoted(guest.uri);
}

// A name that begins with a dash must not be read as an option.
std::string positional(const std::string& domain) {
  return (domain.starts_with('-') ? "-- " : "") + shell_quoted(domain);
}

}  // namespace

std::string virsh_command(const Selection& guest, std::string_view verb, const std::string& domain,
                          std::string_view words) {
  // virsh(1): --domain takes the next word, whatever it begins with.
  return fmt::format("virsh{} {} {}{}{}{}", connection(guest), verb,
                     domain.starts_with('-') ? "--domain " : "", shell_quoted(domain),
                     words.empty() ? "" : " ", words);
}

std::string vmcorectl_command(const Selection& guest, std::string_view verb,
                              const std::string& domain) {
  if (domain.empty()) {
    return fmt::format("vmcorectl {} --qmp {}", verb, shell_quoted(guest.socket.string()));
  }
  return fmt::format("vmcorectl {}{}{} {}", verb, connection(guest),
                     guest.asked_as.empty() ? "" : " --remote", positional(domain));
}

std::string by_hand(const Selection& guest, Then then, const std::string& domain) {
  const bool is_domain = guest.socket.empty();
  const std::string socket = guest.socket.string();
  switch (then) {
    case Then::nothing:
      return "";
    case Then::resume:
      return is_domain ? virsh_command(guest, "resume", domain)
                       : fmt::format("the QMP command cont to {}", socket);
    case Then::reset:
      return is_domain ? fmt::format("{} && {}", virsh_command(guest, "reset", domain),
                                     virsh_command(guest, "resume", domain))
                       : fmt::format("the QMP commands system_reset and cont to {}", socket);
    case Then::destroy:
      return is_domain ? virsh_command(guest, "destroy", domain)
                       : fmt::format("the QMP command quit to {}", socket);
  }
  return "";
}

std::string handle_of(const std::string& name, const std::string& uuid) {
  // virsh tries id, then UUID, then name.
  constexpr std::size_t kUuidDigits = 32;
  const auto only = [&](std::string_view letters) {
    return name.find_first_not_of(letters) == std::string::npos;
  };
  const bool may_be_another =
      only("0123456789") || (only("0123456789abcdefABCDEF- ") && name.size() >= kUuidDigits);
  return may_be_another && !uuid.empty() ? uuid : name;
}

}  // namespace vmcore::acquire
