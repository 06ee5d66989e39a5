// vmcore-guest: sets up what saves a crash of this guest, and loads it.
#include "guest/cli/verb.h"

namespace vmcore::guest::cli {
namespace {

constexpr Verb kVerbs[] = {
    {"status", "Whether a crash would be saved, and what is missing", add_status, true},
    {"estimate", "How much memory a panic kernel needs", add_estimate, true},
    {"setup", "Set this guest up to save its crashes", add_setup, false},
    {"remove", "Take back what setup did", add_remove, false},
    {"build", "Make the capture image", add_build, false},
    {"load", "Load the panic kernel and its capture image", add_load, false},
    {"save", "Save the crash that the memory of a capture kernel shows", add_save, false},
    {"unload", "Take the panic kernel out of memory", add_unload, false},
    {"lock", "Keep what is loaded from being replaced", add_lock, false},
    {"exec", "Reboot into the kernel that load --reboot loaded", add_exec, false},
    {"test", "Crash this guest on purpose, and see what became of it", add_test, true},
    {"collect", "Keep and tell what an earlier crash left behind (run at boot)", add_collect,
     false},
};

}  // namespace
}  // namespace vmcore::guest::cli

int main(int argc, char** argv) {
  return vmcore::run_program(
      {"vmcore-guest", "Saves this guest's crashes", vmcore::guest::cli::kVerbs}, argc, argv);
}
