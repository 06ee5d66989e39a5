// SPDX-License-Identifier: GPL-2.0-or-later
// What the records of pstore say together.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace vmcore::guest::status {

struct PstoreRecord {
  std::string name;  // "dmesg-erst-..."
  std::string text;
};

struct PstoreBundle {
  std::string log;     // the newest crash, in the order of time; empty if no record is a log
  std::string reason;  // its message, "Kernel panic - not syncing: ..."; empty if there is none
};

// A log is stored in parts, the newest part first, each with a line before it: "Panic#1 Part2"
// (fs/pstore/platform.c, pstore_dump). Compressed records, ".enc.z", are left out.
PstoreBundle bundle_of(const std::vector<PstoreRecord>& records);

}  // namespace vmcore::guest::status
