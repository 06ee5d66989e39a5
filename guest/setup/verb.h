// A verb: one subcommand of vmcore-guest.
//
// To add one: verb_NAME.cc with a function like those below, a row in kVerbs (main.cc), a section
// in docs/man/vmcore-guest.8, a test.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace vmcore::guest {

// What every verb shares.
struct Common {
  bool json = false;
};

// Adds the verb's options to `command`; the function returned runs it and gives the exit code. Both
// arguments outlive it.
using Run = std::function<int()>;
using AddVerb = Run (*)(CLI::App& command, const Common& common);

Run add_collect(CLI::App& command, const Common& common);
Run add_estimate(CLI::App& command, const Common& common);
Run add_exec(CLI::App& command, const Common& common);
Run add_load(CLI::App& command, const Common& common);
Run add_lock(CLI::App& command, const Common& common);
Run add_status(CLI::App& command, const Common& common);
Run add_test(CLI::App& command, const Common& common);
Run add_unload(CLI::App& command, const Common& common);

}  // namespace vmcore::guest
