// SPDX-License-Identifier: GPL-2.0-or-later
// GuestRecord: what the service must know of a guest after its own restart: one JSON file for each
// guest in its state folder (docs/schema/guest-record.json).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/acquire/guest.h"
#include "src/base/fd.h"
#include "src/base/result.h"

namespace vmcore::daemon {

// The crash of a guest that was handled last.
struct RecordedCrash {
  // The QEMU that it happened in; nothing: not known. Another QEMU has not crashed yet.
  std::optional<acquire::ProcessKey> process = {};
  std::uint64_t time_us = 0;  // of its event, since the epoch
  // Nothing more is to be kept of it: it is kept, or cannot be.
  bool settled = false;
  std::string id = {};  // in the store; empty: none
  // What is still to be done with the guest, as report::PolicyOutcome has it: "restart"; empty:
  // nothing.
  std::string policy_due = {};
  bool operator==(const RecordedCrash&) const = default;
};

struct GuestRecord {
  static constexpr std::string_view kSchema = "vmcored-guest/1";

  std::string name = {};
  std::string uuid = {};  // empty: it has none
  std::string from = {};  // the libvirt URI, or the path of the QMP socket
  bool armed = false;
  bool trap_resets = false;
  // What the guest's crash did before it was armed: libvirt's on_crash ("restart"), or QEMU's
  // panic action ("pause"). Empty: not armed.
  std::string on_crash_before = {};
  // Of a trapped guest: QEMU's actions before, as set-action takes them: "reboot=reset".
  std::vector<std::string> actions_before = {};
  std::optional<RecordedCrash> crash = {};
  // GuestId::key() of the guest.
  std::string key() const { return uuid.empty() ? from : from + " " + uuid; }
  bool operator==(const GuestRecord&) const = default;
};

// Nothing but whose it is: it needs no file.
bool says_nothing(const GuestRecord& record);

std::string to_json(const GuestRecord& record);
// Errc::malformed where the text is no such document.
Result<GuestRecord> record_from_json(std::string_view text);

// The folder of all records. Each is written as a whole and synced: after a power cut it is the one
// before or the one after.
class GuestRecords {
 public:
  // Makes the folder, mode 0700, where its parent is there. Errc::denied if others may write to it.
  static Result<GuestRecords> open(const std::filesystem::path& folder);

  // Keeps another vmcored from the folder until the descriptor is closed, or this process ends,
  // however it ends. Errc::busy while another one has it.
  Result<Fd> lock() const;

  // Those that can be read; `damaged` gets what is wrong with the others.
  std::vector<GuestRecord> load(std::vector<Error>& damaged) const;
  // Writes the record of that guest, or removes its file if it says no more than the name.
  Result<> save(const GuestRecord& record) const;

 private:
  explicit GuestRecords(std::filesystem::path folder) : folder_(std::move(folder)) {}
  std::filesystem::path folder_;
};

}  // namespace vmcore::daemon
