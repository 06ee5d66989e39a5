#include <cstdio>
#include <memory>

#include "guest/cli/report.h"
#include "guest/cli/verb.h"
#include "guest/image/find_network.h"
#include "guest/root/read_config.h"
#include "guest/root/state_file.h"
#include "guest/setup/apply.h"
#include "guest/setup/kernels.h"
#include "guest/setup/make_plan.h"
#include "src/base/shell.h"
#include "src/command/exit_code.h"
#include "src/command/report_error.h"

namespace vmcore::guest {
namespace {

struct Options {
  SetupOptions setup;
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

void print_outcome(const Outcome& outcome) {
  for (const std::string& failed : outcome.failed) {
    fmt::print(stderr, "vmcore-guest: {}; the files are written: run it again when it is mended\n",
               failed);
  }
}

// The capture images that `load` made, what is left of one that was cut short, what was kept for
// them, and the folder of all that.
Result<> remove_images(const Root& root) {
  const std::string folder(kStateFolder);
  for (const std::string& name : root.list(folder).value_or(std::vector<std::string>())) {
    if (name.starts_with("capture-") && name.find(".img") != std::string::npos) {
      TRY(write_node(root, folder + "/" + name, std::nullopt));
    }
  }
  remove_state(root, kNetworkFile);
  return remove_empty_folder(root, folder);
}

// That of the capture image, which is built at the next boot, before there is one.
void remember_network(const Root& root) {
  std::vector<Remark> remarks;
  if (const auto config = read_config(root)) {
    with_network(root, *config, remarks);
  }
  print_remarks(remarks);
}

// Shows what is to be done and does it. `record` is empty for a removal.
Result<int> carry_out(const Options& options, Plan& plan, Record record, const Record& earlier) {
  const Tree& tree = plan.tree;
  TRY_ASSIGN(const std::vector<Change> changes, tree.to_write());
  TRY(check_writable(tree.root(), changes));
  const Commands commands = commands_for(tree, changes, earlier.pending, plan.by_hand);
  fmt::print("{}", printable_lines(diff_of(changes)));
  for (const auto& list : {commands.stops, commands.others}) {
    for (const Command& command : list) {
      fmt::print("{}: {}\n", options.dry_run ? "would run" : "runs", shell_command(command));
    }
  }
  std::fflush(stdout);  // before what the commands print
  Outcome outcome;
  const bool removes = record.changes.empty();
  if (!options.dry_run) {
    TRY_ASSIGN(outcome, apply(tree.root(), changes, std::move(record), earlier, commands));
    // Last: until every file is back a panic kernel may have to be loaded with them.
    TRY(removes ? remove_images(tree.root()) : Result<>());
  }
  print_lines("note", plan.notes);
  print_lines("to do", plan.by_hand);
  print_outcome(outcome);
  if (changes.empty() && commands.others.empty()) {
    fmt::print("nothing to do: {}\n", removes ? "it is not set up" : "it is set up already");
  } else if (options.dry_run) {
    fmt::print("{} files would change\n", changes.size());
  } else {
    fmt::print("{} files changed{}; a reboot is needed for it to count\n", changes.size(),
               removes ? "" : fmt::format(" (as they were: {}/before)", parent_of(kManifest)));
  }
  return !outcome.failed.empty() ? kExitFailed : plan.by_hand.empty() ? kExitDone : kExitNotAsAsked;
}

Result<int> setup(Options& options) {
  options.setup.slot = options.beside ? "beside" : options.replace ? "replace" : "";
  TRY_ASSIGN(const Root root, Root::open(options.root));
  TRY_ASSIGN(const Record earlier, read_record(root));
  TRY_ASSIGN(Plan plan, make_plan(root, earlier, options.setup));
  Record record;
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
  TRY_ASSIGN(const Root root, Root::open(options.root));
  TRY_ASSIGN(const Record earlier, read_record(root));
  Plan plan(root);
  TRY(set_base(plan.tree, earlier));
  for (const Change& change : earlier.changes) {
    TRY_ASSIGN(const auto now, read_node(root, change.path));
    if (now != change.before && now != change.after) {
      plan.notes.push_back(
          fmt::format("{} was changed since: only what setup wrote goes", change.path));
    }
  }
  return carry_out(options, plan, {}, earlier);
}

int finish(const Result<int>& code, const Common& common) {
  return code ? *code : report_error(code.error(), common);
}

void add_shared(CLI::App& command, Options& options) {
  command.add_option("--root", options.root, "The guest's file system, where an image is mounted")
      ->type_name("DIR")
      ->capture_default_str();
  command.add_flag("--dry-run", options.dry_run, "Show what would change, and change nothing");
}

std::string check_reservation(const std::string& text) {
  return is_reservation(text) ? "" : "not what the kernel takes behind crashkernel=, as 128M";
}

}  // namespace

Run add_setup(CLI::App& command, const Common& common) {
  const auto options = std::make_shared<Options>();
  add_shared(command, *options);
  command
      .add_option("--crashkernel", options->setup.crashkernel,
                  "What to reserve (default: what is reserved already, else what the kernel needs)")
      ->type_name("SIZE")
      ->check(check_reservation);
  command.add_flag("--force", options->setup.force,
                   "Change the command line although a sealed disk or a signed image needs it");
  CLI::Option* const beside = command.add_flag("--beside", options->beside,
                                               "Keep another's panic kernel, save to the host "
                                               "before it does");
  command.add_flag("--replace", options->replace, "Disable another's panic kernel")
      ->excludes(beside);
  command.add_flag("--notify-host", options->setup.notify_host,
                   "The crashing kernel tells the host (crash_kexec_post_notifiers)");
  command
      .add_option("--panic-on", options->setup.panic_on,
                  "What becomes a panic: oops, nmi, softlockup, hung-task")
      ->delimiter(',')
      ->check(CLI::IsMember(panic_triggers()));
  return [options, &common] { return finish(setup(*options), common); };
}

Run add_remove(CLI::App& command, const Common& common) {
  const auto options = std::make_shared<Options>();
  add_shared(command, *options);
  return [options, &common] { return finish(remove(*options), common); };
}

}  // namespace vmcore::guest
