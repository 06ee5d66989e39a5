// SPDX-License-Identifier: GPL-2.0-or-later
// RecordWriter: writes the records of guests in the background, for a disk may stall. Those of one
// guest are written one after the other, in the order in which they came.
//
// In the loop's thread.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "src/base/result.h"
#include "src/daemon/guest_record.h"
#include "src/daemon/loop.h"

namespace vmcore::daemon {

class RecordWriter {
 public:
  using Done = std::function<void(const Result<>&)>;

  RecordWriter(Loop& loop, GuestRecords records) : loop_(loop), records_(std::move(records)) {}
  RecordWriter(const RecordWriter&) = delete;
  RecordWriter& operator=(const RecordWriter&) = delete;

  const GuestRecords& records() const { return records_; }
  // Calls `done`, not before this has returned, when the record is on disk, or a later one of that
  // guest.
  void save(const GuestRecord& record, Done done);
  // All that was saved is on disk, or could not be written.
  bool idle() const { return guests_.empty(); }

 private:
  struct Guest {
    GuestRecord next;  // to be written
    std::vector<Done> waiting;
    bool writing = false;  // the one before
  };
  void write(const std::string& key);
  void written(const std::string& key, const std::vector<Done>& told, const Result<>& saved);

  Loop& loop_;
  GuestRecords records_;
  std::map<std::string, Guest> guests_;  // by GuestRecord::key()
};

}  // namespace vmcore::daemon
