// SPDX-License-Identifier: GPL-2.0-or-later
// Audit: a record in the journal of each deed that reads a guest's memory, changes a guest, or
// changes what is stored, by service and command alike.
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
  hold,
};

struct Record {
  Deed deed = Deed::dump;
  std::string guest = {};  // its name; empty: none
  std::string uuid = {};
  std::string result = {};  // "done", or why not
  // Other fields of the journal: VMCORECTL_LEVEL, VMCORECTL_FILE, VMCORECTL_PAUSE_US ...
  std::vector<std::pair<std::string_view, std::string>> fields = {};
};

// Writes the record with the caller's uid and login uid. Never fails: without a journal it goes to
// syslog, without that nowhere.
void write(const Record& record);

}  // namespace vmcore::audit
