// SPDX-License-Identifier: GPL-2.0-or-later
// Audit: a record in the journal of each deed that reads a guest's memory, changes a guest, or
// changes what is stored, by service and command alike (docs/audit.md).
//
// The journal's own protocol is spoken here (https://systemd.io/JOURNAL_NATIVE_PROTOCOL), because
// sd_journal_sendv() waits without a limit for a journal that does not read, and a guest may stand
// still meanwhile.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace vmcore::audit {

enum class Deed : std::uint8_t {
  dump,         // memory was written to a file
  live_read,    // memory of a running guest was read, and not written
  receive,      // a guest's own dump was received
  crash_guest,  // a guest was told to crash
  crash_seen,   // the service was told of a crash
  policy,       // a guest was restarted, destroyed or resumed
  arm,
  disarm,
  remove,    // of a stored crash
  take_out,  // `export`: a stored crash was copied out of the store
  hold,      // of a stored crash; or it was released
};
inline constexpr std::size_t kDeeds = 11;

inline constexpr std::string_view kDone = "done";  // the result of a deed that succeeded

struct Record {
  Deed deed = Deed::dump;
  std::string guest = {};  // its name; empty: none
  std::string uuid = {};
  std::string result = {};  // "done", or why not
  // Other fields of the journal: VMCORECTL_LEVEL, VMCORECTL_FILE, VMCORECTL_PAUSE_US ... Those
  // without a value are left out.
  std::vector<std::pair<std::string_view, std::string>> fields = {};
};

std::string_view deed_name(Deed deed);   // VMCORECTL_DEED: "dump", "live-read"
std::string_view message_id(Deed deed);  // MESSAGE_ID

// Where records go: datagram sockets.
struct Sockets {
  std::string journal = "/run/systemd/journal/socket";
  std::string syslog = "/dev/log";
};

// Writes the record with the caller's uid and login uid. Values of others are made printable, on
// one line, and cut at 1 KiB. Never fails: without a journal it goes to syslog, without that
// nowhere. Waits for at most 0.2 s for each of both.
void write(const Record& record, const Sockets& sockets = {});

}  // namespace vmcore::audit
