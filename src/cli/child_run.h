// SPDX-License-Identifier: GPL-2.0-or-later
// Other programs, run within limits of time and memory.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "src/base/process.h"
#include "src/base/result.h"

namespace vmcore::cli {

struct Command {
  std::vector<std::string> words = {};        // the first one is a program, looked up in PATH
  std::vector<std::string> environment = {};  // "NAME=VALUE", beside what this process has
  std::string input = {};                     // what it reads from its standard input
  // Paths of what it reads, as far as they are known: what it may read where it is confined.
  std::vector<std::string> reads = {};
};

// The exit status of a program that was to be confined and could not: it did not run, and its
// output says why.
inline constexpr int kNotConfined = 125;

struct Limits {
  std::chrono::seconds time{0};  // zero: none
  std::uint64_t memory = 0;      // bytes that are not mapped from files; zero: no limit
  // Without rights (sandbox/confine_program.h), with an environment of its own, behind all others.
  bool confined = false;
};

// A program that runs without a terminal, its output in a file. It ends with this object or
// process.
class ChildRun {
 public:
  // `output` is borrowed.
  static Result<ChildRun> start(const Command& command, int output, const Limits& limits);

  struct Ended {
    int status = 0;  // as waitpid(2) gives it
    bool timed_out = false;
    std::chrono::milliseconds took{0};
  };
  // How it ended; nothing if it still runs after `patience`.
  Result<std::optional<Ended>> wait_for(std::chrono::milliseconds patience);

 private:
  using Clock = std::chrono::steady_clock;
  ChildRun(Process process, const Limits& limits)
      : process_(std::move(process)), limits_(limits), begin_(Clock::now()) {}

  Process process_;
  Limits limits_;
  Clock::time_point begin_;
  bool timed_out_ = false;
};

// Becomes the program, confined where that is asked for (Limits): returns only if it cannot, with
// why.
Error become(const Command& command, bool confined = false);

// What the program prints within 10 s. An Error where it does not end well.
Result<std::string> output_of(const Command& command);

}  // namespace vmcore::cli
