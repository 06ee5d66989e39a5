// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/daemon/record_writer.h"

#include <utility>

namespace vmcore::daemon {

void RecordWriter::save(const GuestRecord& record, Done done) {
  const std::string key = record.key();
  Guest& guest = guests_[key];
  guest.next = record;
  guest.waiting.push_back(std::move(done));
  if (!guest.writing) {
    write(key);
  }
}

void RecordWriter::write(const std::string& key) {
  Guest& guest = guests_.at(key);
  guest.writing = true;
  loop_.in_background<Result<>>(
      [records = records_, record = guest.next] { return records.save(record); },
      [this, key, told = std::exchange(guest.waiting, {})](const Result<>& saved) {
        written(key, told, saved);
      });
}

void RecordWriter::written(const std::string& key, const std::vector<Done>& told,
                           const Result<>& saved) {
  Guest& guest = guests_.at(key);
  guest.writing = false;
  if (guest.waiting.empty()) {
    guests_.erase(key);
  } else {
    write(key);
  }
  for (const Done& done : told) {
    done(saved);
  }
}

}  // namespace vmcore::daemon
