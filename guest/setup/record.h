// SPDX-License-Identifier: GPL-2.0-or-later
// Record: what setup changed. It is stored in the guest under /var/lib/vmcore-guest/setup: a
// manifest, and each file before setup (before/PATH) and after setup (after/PATH).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "guest/setup/plan.h"

namespace vmcore::guest::setup {

struct Record {
  std::vector<root::Change> changes;  // without their `why`
  root::Words words;                  // words that were added to command lines
  std::string slot;                   // "", "beside" or "replace" another kdump
  std::vector<std::string> folders;   // folders that were created, outer ones first
  std::vector<Command> pending;       // commands that failed
};

// An empty record if none is stored.
Result<Record> read_record(const root::Root& root);
// Deletes the copies of files that are only in the record stored before.
Result<> write_record(const root::Root& root, const Record& record);
Result<> remove_record(const root::Root& root, const Record& record);

// The path of the manifest.
inline constexpr const char* kManifest = "/var/lib/vmcore-guest/setup/manifest.json";

// Sets the base of the tree to the state before setup, with the changes that others made since.
Result<> set_base(root::Tree& tree, const Record& record);

}  // namespace vmcore::guest::setup
