// SPDX-License-Identifier: GPL-2.0-or-later
// Hooks: the programs of a folder, which run one after the other after each crash, with its
// manifest on standard input (vmcored.conf(5), HOOKS).
//
// Each is confined as far as that costs nothing: a process group of its own that is killed as a
// whole when its time is over or its program has ended, no descriptor but 0 to 2, an environment
// of its own, no new privileges, limits, and where that is configured another user.
//
// Nothing blocks. For one thread.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <deque>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "src/base/fd.h"
#include "src/base/process.h"
#include "src/base/result.h"

namespace vmcore::daemon {

// As whom hooks run.
struct HookUser {
  uid_t uid = 0;
  gid_t gid = 0;
};
// May wait for a server of users. Errc::not_found if there is no such user.
Result<HookUser> find_hook_user(const std::string& name);

struct HookSettings {
  std::filesystem::path folder = {};  // empty: there are no hooks
  std::chrono::milliseconds limit{60'000};
  std::optional<HookUser> user = {};  // nothing: as this process
  std::size_t at_once = 4;            // crashes whose hooks run at the same time
};

// A crash for which hooks run.
struct HookCrash {
  std::string id = {};                  // VMCORECTL_CRASH of their environment
  std::string folder = {};              // VMCORECTL_FOLDER
  std::string manifest = {};            // the document of standard input
  std::vector<std::string> ended = {};  // hooks that have run for it already
};

// A hook that has ended, or did not run.
struct HookEnd {
  std::string program = {};  // its name; empty where the folder was refused
  std::string crash = {};    // ID
  bool done = false;         // it ran, and said 0
  std::string how = {};      // "exit status 3", "killed after 60 s", or why it did not run
  std::vector<std::string> output = {};  // its first lines on standard output and error, printable
};

// The programs of the folder that may run, by name, and why others do not. A program is a regular
// file, executable, of root or this user, that nobody else may write to; so is its folder.
struct HookPrograms {
  std::vector<std::string> names = {};
  std::vector<HookEnd> refused = {};
};
HookPrograms find_hooks(const std::filesystem::path& folder);

class Hooks {
 public:
  static Result<Hooks> create(HookSettings settings);
  Hooks(Hooks&&) noexcept;
  Hooks& operator=(Hooks&&) noexcept;
  // Kills what runs.
  ~Hooks();

  // Its hooks run now, or when those of others have ended. Beyond 1000 that wait, the oldest waits
  // no longer: step() says so.
  void start(HookCrash crash);
  // Readable when step() has something to do. Stays the same.
  int fd() const { return events_.get(); }
  // Goes on; returns the hooks that have ended since the last call.
  std::vector<HookEnd> step();
  // The crashes whose hooks have all ended, or do not run, since the last call: after step().
  std::vector<std::string> over() { return std::exchange(over_, {}); }
  // No hook runs or waits, and step() would return none.
  bool idle() const;
  // After a change of the configuration: for crashes to come.
  void set(HookSettings settings) { settings_ = std::move(settings); }

 private:
  class Run;

  Hooks(HookSettings settings, Fd events, Fd wake);
  void begin_waiting();
  void wake() const;

  HookSettings settings_;
  Fd events_;  // epoll: of each run, and wake_
  Fd wake_;
  std::deque<HookCrash> waiting_;
  std::vector<std::unique_ptr<Run>> runs_;
  std::vector<HookEnd> ended_;
  std::vector<std::string> over_;
};

}  // namespace vmcore::daemon
