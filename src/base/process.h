// SPDX-License-Identifier: GPL-2.0-or-later
// Process: a child of ours.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "src/base/fd.h"
#include "src/base/result.h"

namespace vmcore {

// Move-only. The destructor ends the child (end()).
class Process {
 public:
  Process() = default;  // none
  // Forks. The child calls `child` and exits with its result. If this process has other threads,
  // `child` may call only async-signal-safe functions before its exec.
  static Result<Process> start(const std::function<int()>& child);

  Process(Process&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
  Process& operator=(Process&& other) noexcept;
  ~Process();

  // -1 for no child, and after the child was reaped.
  pid_t pid() const { return pid_; }
  void kill() const;
  // Kills the child, and reaps it. False if it still lives two seconds later: it waits in the
  // kernel (state D), mostly for a disk, and nobody waits for it any more.
  bool end();
  // The child goes on without this object, and nobody waits for it.
  void let_go() { pid_ = -1; }
  // Waits until the child ends. Returns its status, as waitpid(2) gives it.
  Result<int> wait();
  // The same, but returns nothing if the child still runs after `patience`.
  Result<std::optional<int>> wait_for(std::chrono::milliseconds patience);

 private:
  explicit Process(pid_t pid) : pid_(pid) {}
  Result<std::optional<int>> reap(int flags);

  pid_t pid_ = -1;
};

// A process, whatever becomes of its number: readable when it has ended. Errc::not_found if there
// is none; Errc::unsupported before Linux 5.3.
Result<Fd> open_pidfd(pid_t pid);
// SIGKILL. Does nothing to a process that has ended.
void kill_process(const Fd& pidfd);

// Changes this process: if the host runs out of memory, it and its children are killed before any
// guest, and a guest that is paused for them then runs again (proc(5), oom_score_adj). For the
// process of one job, at its start; no job calls it. Async-signal-safe.
void be_killed_first();

// The exit status 127 of a shell, and of a child whose exec failed.
inline constexpr int kExecFailed = 127;

// "exit status 3", "killed by signal 9 (Killed)".
std::string ending(int status);

}  // namespace vmcore
