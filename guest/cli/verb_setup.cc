// SPDX-License-Identifier: GPL-2.0-or-later
#include <cstdio>
#include <memory>

#include "guest/cli/report.h"
#include "guest/cli/verb.h"
#include "guest/image/find_network.h"
#include "guest/kexec/early_copy.h"
#include "guest/root/read_config.h"
#include "guest/root/state_file.h"
#include "guest/setup/apply.h"
#include "guest/setup/kernels.h"
#include "guest/setup/make_plan.h"
#include "guest/setup/services.h"
#include "src/base/shell.h"
#include "src/command/exit_code.h"
#include "src/command/report_error.h"

namespace vmcore::guest::cli {
namespace {

struct Options {
  setup::SetupOptions setup;
  std::string root = "/";
  bool dry_run = false;
  bool beside = false;
  bool replace = false;
};

void print_lines(const char* prefix, const std::vector<std::string>& lines) {
  for (const std::string& line : lines) {
    fmt::print("{}: {}\n", prefix, printable(line));
  }
}

void print_outcome(const setup::Outcome& outcome) {
  for (const std::string& failed : outcome.failed) {
    fmt::print(stderr,
               "vmcore-guest: {}; the files are written: fix the problem and run it again\n",
               failed);
  }
}

// Removes the capture images that `load` made, incomplete ones, the records of early copies, the
// stored network settings, and the folder of all these.
Result<> remove_images(const root::Root& root) {
  const std::string folder(root::kStateFolder);
  for (const std::string& name : root.list(folder).value_or(std::vector<std::string>())) {
    if ((name.starts_with("capture-") && name.find(".img") != std::string::npos) ||
        name.starts_with(kexec::early_copy_name(""))) {
      TRY(root::write_node(root, folder + "/" + name, std::nullopt));
    }
  }
  root::remove_state(root, image::kNetworkFile);
  return root::remove_empty_folder(root, folder);
}

// Stores the network settings: the capture image is built at the next boot, before the network is
// up.
void remember_network(const root::Root& root) {
  std::vector<Remark> remarks;
  if (const auto config = root::read_config(root)) {
    image::with_network(root, *config, remarks);
  }
  print_remarks(remarks);
}

// Prints the changes and makes them. `record` is empty for a removal.
Result<int> carry_out(const Options& options, setup::Plan& plan, setup::Record record,
                      const setup::Record& earlier) {
  const root::Tree& tree = plan.tree;
  TRY_ASSIGN(const std::vector<root::Change> changes, tree.to_write());
  TRY(setup::check_writable(tree.root(), changes));
  TRY_ASSIGN(const setup::Commands commands, setup::commands_for(plan, changes, earlier.pending));
  fmt::print("{}", printable_lines(setup::diff_of(changes)));
  for (const auto& list : {commands.stops, commands.others}) {
    for (const setup::Command& command : list) {
      fmt::print("{}: {}\n", options.dry_run ? "would run" : "running", shell_command(command));
    }
  }
  std::fflush(stdout);  // before what the commands print
  setup::Outcome outcome;
  const bool removes = record.changes.empty();
  if (!options.dry_run) {
    TRY_ASSIGN(outcome, setup::apply(tree.root(), changes, std::move(record), earlier, commands));
    // Last: until every file is back a capture kernel may have to be loaded with the images.
    TRY(removes ? remove_images(tree.root()) : Result<>());
  }
  print_lines("note", plan.notes);
  print_lines("to do", plan.by_hand);
  print_outcome(outcome);
  if (changes.empty() && commands.others.empty()) {
    fmt::print("nothing to do: {}\n",
               removes ? "the guest is not set up" : "the guest is set up already");
  } else if (options.dry_run) {
    fmt::print("{} files would change\n", changes.size());
  } else {
    fmt::print("{} files changed{}; reboot to apply the changes\n", changes.size(),
               removes ? ""
                       : fmt::format(" (the old files are in {}/before)",
                                     root::parent_of(setup::kManifest)));
  }
  return !outcome.failed.empty() ? kExitFailed : plan.by_hand.empty() ? kExitDone : kExitNotAsAsked;
}

Result<int> setup(Options& options) {
  options.setup.slot = options.beside ? "beside" : options.replace ? "replace" : "";
  TRY_ASSIGN(const root::Root root, root::Root::open(options.root));
  TRY_ASSIGN(const setup::Record earlier, setup::read_record(root));
  TRY_ASSIGN(setup::Plan plan, setup::make_plan(root, earlier, options.setup));
  setup::Record record;
  TRY_ASSIGN(record.changes, plan.tree.to_remember());
  record.words = plan.words;
  record.slot = options.setup.slot;
  TRY_ASSIGN(const int code, carry_out(options, plan, std::move(record), earlier));
  if (!options.dry_run) {
    remember_network(root);
  }
  return code;
}

Result<int> remove(const Options& options) {
  TRY_ASSIGN(const root::Root root, root::Root::open(options.root));
  TRY_ASSIGN(const setup::Record earlier, setup::read_record(root));
  setup::Plan plan(root);
  TRY(setup::set_base(plan.tree, earlier));
  TRY(setup::remove_links(plan.tree, earlier.changes));
  for (const root::Change& change : earlier.changes) {
    TRY_ASSIGN(const auto now, root::read_node(root, change.path));
    if (now != change.before && now != change.after) {
      plan.notes.push_back(
          fmt::format("{} was changed after setup: only what setup wrote is removed", change.path));
    }
  }
  return carry_out(options, plan, {}, earlier);
}

int finish(const Result<int>& code, const Common& common) {
  return code ? *code : report_error(code.error(), common);
}

void add_shared(CLI::App& command, Options& options) {
  command.add_option("--root", options.root, "Where the file system of the guest is mounted")
      ->type_name("DIR")
      ->capture_default_str();
  command.add_flag("--dry-run", options.dry_run, "Show the changes without making them");
}

std::string check_reservation(const std::string& text) {
  return setup::is_reservation(text) ? "" : "not a value of crashkernel=, such as 128M";
}

}  // namespace

Run add_setup(CLI::App& command, const Common& common) {
  const auto options = std::make_shared<Options>();
  add_shared(command, *options);
  command
      .add_option(
          "--crashkernel", options->setup.crashkernel,
          "Memory to reserve (default: what is reserved already, else what the kernel needs)")
      ->type_name("SIZE")
      ->check(check_reservation);
  command.add_flag("--force", options->setup.force,
                   "Change the command line even if a sealed disk or a signed image depends on it");
  CLI::Option* const beside = command.add_flag(
      "--beside", options->beside,
      "Keep the other kdump service, and send a dump to the host before it saves its own");
  command.add_flag("--lock", options->setup.lock,
                   "After the load at boot, let nobody load another kernel until the next boot");
  command.add_flag("--early", options->setup.early,
                   "Load the capture kernel from the initramfs, before file systems are mounted");
  command.add_flag("--pstore", options->setup.pstore,
                   "Keep the log of a crash for which no capture kernel is loaded (pstore)");
  command.add_flag("--replace", options->replace, "Disable the other kdump service")
      ->excludes(beside);
  command.add_flag("--notify-host", options->setup.notify_host,
                   "Let the crashing kernel notify the host (crash_kexec_post_notifiers)");
  command
      .add_option(
          "--panic-on", options->setup.panic_on,
          fmt::format("Faults that cause a panic: {}", fmt::join(setup::panic_triggers(), ", ")))
      ->delimiter(',')
      ->check(CLI::IsMember(setup::panic_triggers()));
  return [options, &common] { return finish(setup(*options), common); };
}

Run add_remove(CLI::App& command, const Common& common) {
  const auto options = std::make_shared<Options>();
  add_shared(command, *options);
  return [options, &common] { return finish(remove(*options), common); };
}

}  // namespace vmcore::guest::cli
