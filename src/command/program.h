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
  // A file of this run has its name: what fails from now on does not take it away. Set by verbs.
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
  // What each verb of this program has beside its own options: gets its `run` and gives what is run
  // in its place. May be null.
  Run (*wrap)(CLI::App& command, Common& common, Run run) = nullptr;
};

// The whole of a main(): what it returns is the exit code. Results that could not be printed are a
// failure: exit code 1, or where a file was kept 3.
int run_program(const Program& program, int argc, char** argv);

}  // namespace vmcore
