// Carries a plan out: the files, then the commands that make something of them.
#pragma once

#include "guest/setup/record.h"

namespace vmcore::guest::setup {

// The changes, as `diff -u` shows them.
std::string diff_of(const std::vector<root::Change>& changes);

struct Commands {
  std::vector<Command> stops;   // of services, while what stops them is still there
  std::vector<Command> others;  // when the files are written
};

// Services of links that go are stopped: they give the slot back.
std::vector<Command> stops_for(const root::Tree& tree, const std::vector<root::Change>& changes);
// What starts them again.
std::vector<Command> starts_for(std::vector<Command> stops);

// What has to run when these files have changed, and what is pending, each once. Of an image only
// what needs no running system; where programs cannot run in it (no /proc), `by_hand` says what is
// left to do there.
Commands commands_for(const root::Tree& tree, const std::vector<root::Change>& changes,
                      const std::vector<Command>& pending, std::vector<std::string>& by_hand);

struct Outcome {
  std::vector<std::string> failed;  // commands, each with the reason
};

// Whether the changes can be written, as far as that can be known beforehand. Errc::denied, naming
// the path, where its folder is read-only or belongs to a store of packages (NixOS, Guix).
Result<> check_writable(const root::Root& root, const std::vector<root::Change>& changes);

// Writes the changes; remembers `record` first, or forgets it last where it is empty. After an
// Error every file is as it was before, and the services that were stopped run again; where that is
// not so the error names the file, and the record still takes the changes back.
Result<Outcome> apply(const root::Root& root, const std::vector<root::Change>& changes,
                      Record record, const Record& earlier, const Commands& commands);

}  // namespace vmcore::guest::setup
