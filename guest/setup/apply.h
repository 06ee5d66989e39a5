// SPDX-License-Identifier: GPL-2.0-or-later
// Applies a plan: writes the files, then runs the commands that use them.
#pragma once

#include "guest/setup/record.h"

namespace vmcore::guest::setup {

// The changes in the format of `diff -u`.
std::string diff_of(const std::vector<root::Change>& changes);

struct Commands {
  std::vector<Command> stops;   // stop services; run before the files are written
  std::vector<Command> others;  // run after the files are written
};

// Stops the services whose links are removed, so that they release the slot.
std::vector<Command> stops_for(const root::Tree& tree, const std::vector<root::Change>& changes);
// The commands that start them again.
std::vector<Command> starts_for(std::vector<Command> stops);

// The commands that apply the changes, the overdue ones of the plan, and the pending ones, each
// once. For an image, only those that need no running system; if the image has no /proc mounted,
// programs cannot run in it, and plan.by_hand gets the commands instead.
Result<Commands> commands_for(Plan& plan, const std::vector<root::Change>& changes,
                              const std::vector<Command>& pending);

struct Outcome {
  std::vector<std::string> failed;  // the commands that failed, each with its reason
};

// Whether the changes can be written, as far as that is known in advance. Errc::denied if the
// folder of a path is read-only or in a package store (NixOS, Guix); the message names the path.
Result<> check_writable(const root::Root& root, const std::vector<root::Change>& changes);

// Writes the changes. Stores `record` before, or, if it is empty, deletes the stored record
// afterwards. After an Error every file has its old content, and the stopped services run again;
// otherwise the message names the file, and the stored record can still undo the changes.
Result<Outcome> apply(const root::Root& root, const std::vector<root::Change>& changes,
                      Record record, const Record& earlier, const Commands& commands);

}  // namespace vmcore::guest::setup
