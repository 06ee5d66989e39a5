// Record: what setup changed, kept in the guest under /var/lib/vmcore-guest/setup: a manifest, and
// each file as it was (before/PATH) and as setup left it (after/PATH).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "guest/setup/plan.h"

namespace vmcore::guest::setup {

// A program's path and its arguments.
using Command = std::vector<std::string>;

struct Record {
  std::vector<root::Change> changes;  // their `why` is not kept
  root::Words words;                  // on command lines
  std::string slot;                   // how the slot was settled: "", "beside" or "replace"
  std::vector<std::string> folders;   // that were made, outer ones first
  std::vector<Command> pending;       // that failed
};

// An empty record where there is none.
Result<Record> read_record(const root::Root& root);
// Files of an earlier record that the new one does not name go.
Result<> write_record(const root::Root& root, const Record& record);
Result<> remove_record(const root::Root& root, const Record& record);

// Where its manifest is.
inline constexpr const char* kManifest = "/var/lib/vmcore-guest/setup/manifest.json";

// Makes the base of the tree what the Root was before, keeping what others changed since.
Result<> set_base(root::Tree& tree, const Record& record);

}  // namespace vmcore::guest::setup
