// SPDX-License-Identifier: GPL-2.0-or-later
// Process: a child of ours.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "src/base/result.h"

namespace vmcore {

// Move-only. Killed, where it still runs, and reaped with the object.
class Process {
 public:
  Process() = default;  // none
  // Forks. The child runs `child` and ends with the exit status that it returns. Where other
  // threads run, `child` may call async-signal-safe functions only, up to its exec.
  static Result<Process> start(const std::function<int()>& child);

  Process(Process&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
  Process& operator=(Process&& other) noexcept;
  ~Process();

  // -1 where there is none, or it was reaped.
  pid_t pid() const { return pid_; }
  void kill() const;
  // Waits for its end: the status, as waitpid(2) gives it.
  Result<int> wait();
  // The same, for so long at most: nothing where it still runs then.
  Result<std::optional<int>> wait_for(std::chrono::milliseconds patience);

 private:
  explicit Process(pid_t pid) : pid_(pid) {}
  Result<std::optional<int>> reap(int flags);

  pid_t pid_ = -1;
};

// The exit status 127 of a shell, and of a child whose exec failed.
inline constexpr int kExecFailed = 127;

// "exit status 3", "killed by signal 9 (Killed)".
std::string ending(int status);

}  // namespace vmcore
