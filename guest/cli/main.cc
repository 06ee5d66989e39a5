// SPDX-License-Identifier: GPL-2.0-or-later
// vmcore-guest: prepares this guest to save its crashes, and loads the capture kernel.
#include "guest/cli/verb.h"

namespace vmcore::guest::cli {
namespace {

constexpr Verb kVerbs[] = {
    {"status", "Check whether a crash would be saved, and what is missing", add_status, true},
    {"estimate", "Estimate how much memory a capture kernel needs", add_estimate, true},
    {"setup", "Set this guest up to save its crashes", add_setup, false},
    {"remove", "Undo what setup did", add_remove, false},
    {"build", "Build the capture image", add_build, false},
    {"load", "Load the capture kernel and its capture image", add_load, false},
    {"save", "Save a crash from within a capture kernel", add_save, false},
    {"unload", "Unload the capture kernel", add_unload, false},
    {"lock", "Prevent the loaded capture kernel from being replaced", add_lock, false},
    {"exec", "Reboot into the kernel that load --reboot loaded", add_exec, false},
    {"test", "Crash this guest on purpose, and check its dump", add_test, true},
    {"collect", "Keep and report what an earlier crash left behind (run at boot)", add_collect,
     false},
    {"early", "Copy the capture kernel into an initramfs (run when one is made)", add_early, false},
};

}  // namespace
}  // namespace vmcore::guest::cli

int main(int argc, char** argv) {
  return vmcore::run_program(
      {"vmcore-guest", "Saves this guest's crashes", vmcore::guest::cli::kVerbs}, argc, argv);
}
