// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/audit/audit.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <optional>

#include "src/base/fd.h"
#include "src/base/number.h"
#include "src/base/printable_start.h"
#include "src/base/shell.h"
#include "src/base/unix_address.h"
#include "src/base/whole_file.h"

namespace vmcore::audit {
namespace {

constexpr std::size_t kMostOfValue = 1024;
constexpr std::size_t kMostFields = 32;
constexpr int kPatienceMs = 200;

struct Kind {
  Deed deed;
  std::string_view name;
  std::string_view message_id;  // random; never changes
  std::string_view text;        // in front of the guest
};

constexpr Kind kKinds[] = {
    {Deed::dump, "dump", "8ef02650132d4de0a07847420ea5c795", "dump of the memory"},
    {Deed::live_read, "live-read", "570728294551486ea151ab67f9bbbec0", "look at the memory"},
    {Deed::receive, "receive", "f5e34888ba7c4c2b8005322fa4e7df08", "reception of the dump"},
    {Deed::crash_guest, "crash-guest", "9be7bd62dcc14f07a662d336b3ee354a", "order to crash"},
    {Deed::crash_seen, "crash-seen", "a138318ba97b4b0f87cdf7f450349b5c", "crash"},
    {Deed::policy, "policy", "74f641ec83074493829daa36fdb5026c", "policy"},
    {Deed::arm, "arm", "25255086b82e4e0394f9a07ed452b66f", "arming"},
    {Deed::disarm, "disarm", "fff159e6afa04d16aedf3df0dd3a2c18", "disarming"},
    {Deed::remove, "remove", "ab3a1281e9944ed8a034661a7d349307", "removal of a stored crash"},
    {Deed::take_out, "export", "29db725b24634a6c8e3e8e473b376bef", "export of a stored crash"},
    {Deed::hold, "hold", "b27e1120445248f7af21a1a2054b5216", "hold on a stored crash"},
};
static_assert(std::size(kKinds) == kDeeds);

const Kind& kind_of(Deed deed) {
  return *std::ranges::find_if(kKinds, [&](const Kind& kind) { return kind.deed == deed; });
}

std::string clean(std::string_view value) { return printable_start(value, kMostOfValue); }

// The user who logged in, whoever is root now; nothing where nobody did (audit: -1).
std::optional<unsigned> login_uid() {
  const auto uid = parse_number<unsigned>(first_line("/proc/self/loginuid"));
  return uid == ~0U ? std::nullopt : uid;
}

using Fields = std::vector<std::pair<std::string, std::string>>;

Fields fields_of(const Record& record) {
  Fields fields{{"VMCORECTL_DEED", std::string(deed_name(record.deed))}};
  const auto add = [&](std::string_view name, std::string_view value) {
    if (!value.empty() && fields.size() < kMostFields) {
      fields.emplace_back(name, clean(value));
    }
  };
  add("VMCORECTL_GUEST", record.guest);
  add("VMCORECTL_UUID", record.uuid);
  add("VMCORECTL_RESULT", record.result);
  add("VMCORECTL_UID", fmt::format("{}", ::getuid()));
  if (const auto uid = login_uid()) {
    add("VMCORECTL_LOGINUID", fmt::format("{}", *uid));
  }
  for (const auto& [name, value] : record.fields) {
    add(name, value);
  }
  return fields;
}

// A crash is worth a look, and so is what was not done.
int priority_of(const Record& record) {
  return record.deed != Deed::crash_seen && record.result == kDone ? LOG_NOTICE : LOG_WARNING;
}

std::string message_of(const Record& record) {
  const std::string of = record.guest.empty() ? "" : " of " + clean(record.guest);
  return fmt::format("{}{}: {}", kind_of(record.deed).text, of, clean(record.result));
}

// One datagram; false where nobody takes it.
bool send(const std::string& path, const std::string& text) {
  const auto address = unix_address(path);
  if (!address) {
    return false;
  }
  const Fd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const auto* const to = reinterpret_cast<const sockaddr*>(&*address);
  if (!socket || ::connect(socket.get(), to, sizeof(*address)) != 0) {
    return false;
  }
  const auto try_once = [&] {
    return ::send(socket.get(), text.data(), text.size(), MSG_NOSIGNAL) >= 0;
  };
  if (try_once()) {
    return true;
  }
  pollfd ready{socket.get(), POLLOUT, 0};
  return errno == EAGAIN && ::poll(&ready, 1, kPatienceMs) == 1 && try_once();
}

// No value has a newline, so each is a line of its own.
std::string journal_text(const Record& record, const Fields& fields) {
  std::string text = fmt::format(
      "MESSAGE={}\nMESSAGE_ID={}\nPRIORITY={}\nSYSLOG_IDENTIFIER={}\nSYSLOG_FACILITY={}\n",
      message_of(record), message_id(record.deed), priority_of(record),
      clean(program_invocation_short_name), LOG_FAC(LOG_AUTHPRIV));
  for (const auto& [name, value] : fields) {
    text += fmt::format("{}={}\n", name, value);
  }
  return text;
}

// As syslog(3) writes it: the time in front is local.
std::string syslog_text(const Record& record, const Fields& fields) {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  char time[32] = {};
  if (::localtime_r(&now, &parts) != nullptr) {
    std::strftime(time, sizeof(time), "%h %e %T", &parts);
  }
  std::string text =
      fmt::format("<{}>{} {}[{}]: {}", LOG_AUTHPRIV | priority_of(record), time,
                  clean(program_invocation_short_name), ::getpid(), message_of(record));
  for (const auto& [name, value] : fields) {
    text += fmt::format(" {}={}", name, shell_quoted(value));
  }
  return text;
}

}  // namespace

std::string_view deed_name(Deed deed) { return kind_of(deed).name; }
std::string_view message_id(Deed deed) { return kind_of(deed).message_id; }

void write(const Record& record, const Sockets& sockets) {
  const Fields fields = fields_of(record);
  if (!send(sockets.journal, journal_text(record, fields))) {
    static_cast<void>(send(sockets.syslog, syslog_text(record, fields)));
  }
}

}  // namespace vmcore::audit
