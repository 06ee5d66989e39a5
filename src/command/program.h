// SPDX-License-Identifier: GPL-2.0-or-later
// A program of verbs: what the command lines of vmcorectl and vmcore-guest share.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <span>

namespace vmcore {

// What every verb shares.
struct Common {
  bool quiet = false;
  bool json = false;
  // A file of this run has its name: a later failure does not remove it. Set by verbs.
  mutable bool kept = false;
};

// Adds the verb's options to `command`; the function returned runs it and gives the exit code. Both
// arguments outlive it.
using Run = std::function<int()>;
using AddVerb = Run (*)(CLI::App& command, const Common& common);

struct Verb {
  const char* name;
  const char* help;
  AddVerb add;
  bool prints_json;
};

struct Program {
  const char* name;
  const char* summary;
  std::span<const Verb> verbs;
  // Adds what each verb of this program has beside its own options: gets its `run` and returns what
  // runs in its place. May be null.
  Run (*wrap)(CLI::App& command, Common& common, Run run) = nullptr;
};

// The whole of a main(); returns the exit code. If the results could not be printed, that is a
// failure: exit code 1, or 3 if a file was kept.
int run_program(const Program& program, int argc, char** argv);

}  // namespace vmcore
