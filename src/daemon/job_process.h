// SPDX-License-Identifier: GPL-2.0-or-later
// JobProcess: a vmcorectl that runs as a job of the service (docs/jobs.md).
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/fd.h"
#include "src/base/process.h"
#include "src/base/result.h"
#include "src/daemon/guest_source.h"
#include "src/daemon/loop.h"

namespace vmcore::daemon {

struct JobCommand {
  std::vector<std::string> words = {};  // behind "vmcorectl"
  LentGuest guest = {};                 // its words come last
  // What it writes to --report-fd is read, else what it prints.
  bool reports = true;
  bool waits = false;      // gets --go-fd, from which it reads a byte before it goes on
  std::string event = {};  // what --event gives it; empty: nothing
};

struct JobExit {
  std::string how = {};  // "exit status 1"
  int code = -1;         // -1: it was killed
  bool overdue = false;  // its limit was over
};

// Belongs to the loop's thread. Killed with the object, unless it was told to finish.
class JobProcess {
 public:
  struct Calls {
    // One line, without its newline; or, of a job that does not report, all that it printed.
    std::function<void(std::string_view)> on_text;
    // The last call; the object may end in it.
    std::function<void(const JobExit&)> on_end;
  };

  static Result<std::unique_ptr<JobProcess>> start(Loop& loop, const std::filesystem::path& program,
                                                   JobCommand command, Calls calls);
  ~JobProcess();
  JobProcess(const JobProcess&) = delete;
  JobProcess& operator=(const JobProcess&) = delete;

  // Lets a job that waits for its go continue, or end with its flash report.
  void go();
  void no_go() { go_.reset(); }
  // Nobody can read that memory again, for its guest is carried on. From now on the job ends when
  // its dump is kept, also if this process ends before.
  void let_finish();
  // Calls end() after that time. Replaces an earlier limit.
  void set_limit(std::chrono::seconds limit);
  void no_limit();
  // Ends the job: its standard input ends. A job that was told to finish gets SIGTERM at once. Any
  // other job gets SIGTERM a while later. A job that goes on is killed.
  void end();

 private:
  JobProcess(Loop& loop, Calls calls) : loop_(loop), calls_(std::move(calls)) {}
  void read_output();
  void take_lines();
  void on_ended();
  void terminate(int signal);

  Loop& loop_;
  Calls calls_;
  Process process_;
  Fd pidfd_;
  Fd input_;  // its standard input ends with it
  Fd output_;
  Fd go_;
  bool reports_ = true;
  std::string text_;
  Loop::Timer limit_ = 0;
  Loop::Timer kill_ = 0;
  bool overdue_ = false;
  bool finishes_ = false;
};

// The vmcorectl of this vmcored: beside it (a build tree), else in ../bin of it.
Result<std::filesystem::path> vmcorectl_executable();

}  // namespace vmcore::daemon
