// SPDX-License-Identifier: GPL-2.0-or-later
// Aftermath: what follows a crash that is settled: hooks, metrics, and work on its dump.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "src/base/result.h"
#include "src/config/config.h"
#include "src/daemon/dump_work.h"
#include "src/daemon/guest_machine.h"
#include "src/daemon/hook_marks.h"
#include "src/daemon/hooks.h"
#include "src/daemon/loop.h"
#include "src/daemon/metrics.h"
#include "src/daemon/store_work.h"

namespace vmcore::daemon {

class Aftermath {
 public:
  // The loop outlives it. `marks`: the folder of the crashes whose hooks have not ended
  // (HookMarks); those that a vmcored before this one has left there get their hooks now. A user of
  // hooks that does not exist is Errc::not_found.
  static Result<std::unique_ptr<Aftermath>> start(Loop& loop, const config::Config& config,
                                                  const std::filesystem::path& marks);
  ~Aftermath();
  Aftermath(const Aftermath&) = delete;
  Aftermath& operator=(const Aftermath&) = delete;

  // For crashes to come.
  Result<> configure(const config::Config& config);
  // `armed`: how many guests are.
  void add(const CrashOutcome& outcome, std::size_t armed);
  // Writes the metrics now and every five minutes: counters begin with 0 and not with their first
  // crash, and who collects them sees by the file's time whether the service runs.
  void keep_writing(std::function<std::size_t()> armed);
  // Starts no hooks and no work on dumps any more. Calls `done` when the crashes so far are marked
  // and counted, so that the next start goes on with them; some seconds later at the latest.
  void finish(std::function<void()> done);

 private:
  Aftermath(Loop& loop, const config::Config& config, HookMarks marks, Hooks hooks,
            std::filesystem::path vmcorectl)
      : loop_(loop),
        store_(config.store),
        file_(config.metrics),
        marks_(std::move(marks)),
        hooks_(std::move(hooks)),
        metrics_(read_metrics(file_)),
        dump_work_(loop, std::move(vmcorectl)) {}
  void count(const CrashOutcome& outcome, const Result<SettledCrash>& crash);
  void start_hooks(HookMark mark, const Result<SettledCrash>& crash);
  void resume_hooks();
  void unmark(const std::string& id);
  // Work that finish() waits for.
  template <class Value>
  void work(std::function<Value()> what, std::function<void(const Value&)> then);
  void in_background(std::function<Result<>()> change);
  void step_hooks();
  // One after the other: each replaces the file.
  void write();
  void end_if_finished();

  Loop& loop_;
  std::filesystem::path store_;
  std::filesystem::path file_;  // of the metrics; empty: none
  HookMarks marks_;
  Hooks hooks_;
  Metrics metrics_;
  DumpWork dump_work_;
  unsigned open_ = 0;  // what work() has begun
  bool writing_ = false;
  bool write_again_ = false;
  bool finishing_ = false;
  std::function<void()> finished_ = {};
};

}  // namespace vmcore::daemon
