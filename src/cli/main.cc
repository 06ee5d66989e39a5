// SPDX-License-Identifier: GPL-2.0-or-later
// vmcorectl: turns a crashed guest into a small vmcore that crash and drgn open.
#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>

#include "src/cli/far_end.h"
#include "src/cli/remote.h"
#include "src/cli/verb.h"
#include "src/sandbox/worker.h"

namespace vmcore::cli {
namespace {

constexpr Verb kVerbs[] = {
    {"check", "Check whether and how a guest can be dumped, and what a dump would cost", add_check,
     true},
    {"dump", "Dump the memory of a guest into a small vmcore", add_dump, true},
    {"receive", "Receive the dump that a guest's own capture kernel sends", add_receive, true},
    {"key", "Make a key that guests seal their dumps to, or print its public half", add_key, true},
    {"convert", "Filter and rewrite a dump file", add_convert, true},
    {"info", "Print what a dump file, or the memory of a guest, contains", add_info, true},
    {"report", "Print what happened to a guest: panic, stacks, tasks, from memory alone",
     add_report, true},
    {"dmesg", "Print the kernel log of a guest or a dump file", add_dmesg, true},
    {"debug", "Open a dump in crash, drgn or gdb with its debug information", add_debug, true},
    {"debuginfo", "Find vmlinux and modules with debug information of a dump's kernel",
     add_debuginfo, true},
    {"memory", "Print and draw what the memory of a guest is used for", add_memory, true},
    {"look", "Tell how the kernel of a guest that stopped came to its end", add_look, true},
    {"arm", "Have vmcored keep the next crash of guests; without a guest: list the guests", add_arm,
     true},
    {"disarm", "Give guests back as they were before they were armed", add_disarm, true},
    {"list", "List the stored crashes", add_list, true},
    {"path", "Print the path of a stored dump", add_path, false},
    {"export", "Copy a stored crash out of the store", add_export, false},
    {"hold", "Keep a stored crash from being removed", add_hold, false},
    {"rm", "Remove stored crashes", add_rm, false},
    {"prune", "Complete what was left behind, and remove crashes beyond the limits", add_prune,
     false},
};

constexpr std::string_view kStartWorkers[] = {"check",  "dump",  "receive", "convert", "info",
                                              "report", "dmesg", "memory",  "look",    "prune"};

// What every verb has beside its own.
Run wrap(CLI::App& command, Common& common, Run run) {
  command.add_flag("-q,--quiet", common.quiet, "Print nothing but errors");
  command.add_flag_callback("--ends-with-stdin", end_with_stdin, "End when standard input ends")
      ->group("");
  if (std::ranges::find(kStartWorkers, command.get_name()) != std::end(kStartWorkers)) {
    command
        .add_flag_callback("--allow-unconfined", sandbox::allow_unconfined_workers,
                           "Read guest bytes also where the worker cannot be confined")
        ->envname("VMCORECTL_ALLOW_UNCONFINED");
  }
  add_remote_option(command);
  return [&command, &common, run = std::move(run)] {
    return is_remote(command) ? run_remotely(command, common) : run();
  };
}

}  // namespace
}  // namespace vmcore::cli

int main(int argc, char** argv) {
  return vmcore::run_program(
      {"vmcorectl", "Small, private vmcores of KVM guests", vmcore::cli::kVerbs, vmcore::cli::wrap},
      argc, argv);
}
