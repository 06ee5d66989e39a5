// SPDX-License-Identifier: GPL-2.0-or-later
// DumpWork: what is done with a stored dump when its crash is settled: it is opened again (the
// self-check), and the scripts of the configuration are run over it, confined. Each is a vmcorectl
// of its own, and one runs at a time, behind all other work of the host.
#pragma once

#include <deque>
#include <filesystem>
#include <memory>
#include <string>

#include "src/base/result.h"
#include "src/config/config.h"
#include "src/daemon/job_process.h"
#include "src/daemon/loop.h"

namespace vmcore::daemon {

// Belongs to the loop's thread, and the loop outlives it. What runs is killed with it.
class DumpWork {
 public:
  DumpWork(Loop& loop, std::filesystem::path vmcorectl) : loop_(loop), program_(vmcorectl) {}

  // For dumps to come.
  void configure(const config::Config& config);
  // The dump of that crash. Beyond 1000 that wait, it is left out, and the log says so.
  void add(const std::string& id);

 private:
  struct Step {
    std::string what;  // "the self-check of 2026-11-30-..."
    JobCommand command;
  };
  void start_next();
  Result<> start(const Step& step);
  void end(const std::string& what, const JobExit& exit);

  Loop& loop_;
  std::filesystem::path program_;
  std::filesystem::path store_;
  bool self_check_ = true;
  std::vector<std::filesystem::path> scripts_;
  std::chrono::seconds limit_{300};
  std::deque<Step> waiting_;
  std::unique_ptr<JobProcess> running_;
  std::string said_;  // by what runs
};

}  // namespace vmcore::daemon
