// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/setup/apply.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "guest/setup/boot_loader.h"
#include "src/base/process.h"
#include "src/base/shell.h"
#include "src/base/unified_diff.h"

namespace vmcore::guest::setup {
namespace {

// Runs the command inside the root; it inherits the output.
Result<> run_in(const root::Root& root, const Command& command) {
  TRY_ASSIGN(const Fd top, root.open("/", O_RDONLY | O_DIRECTORY));
  std::vector<char*> words;
  words.reserve(command.size() + 1);
  for (const std::string& word : command) {
    words.push_back(const_cast<char*>(word.c_str()));  // NOLINT: execv does not write there
  }
  words.push_back(nullptr);
  TRY_ASSIGN(Process child, Process::start([&] {
               const bool inside =
                   root.running() || (::fchdir(top.get()) == 0 && ::chroot(".") == 0);
               if (inside && ::chdir("/") == 0) {
                 ::execv(words[0], words.data());
               }
               return kExecFailed;
             }));
  TRY_ASSIGN(const int status, child.wait());
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
    return {};
  }
  return fail(Errc::io, "`{}`: {} {}", shell_command(command),
              WIFEXITED(status) ? "exit status" : "killed by signal",
              WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}

// Whether a change has a path with this prefix.
class Touched {
 public:
  explicit Touched(const std::vector<root::Change>& changes) : changes_(&changes) {}
  bool operator()(std::string_view prefix) const {
    return std::ranges::any_of(*changes_, [prefix](const root::Change& change) {
      return change.path.starts_with(prefix);
    });
  }

 private:
  const std::vector<root::Change>* changes_;
};

Result<std::vector<Command>> commands_of_images(const root::Tree& tree, const Touched& touched) {
  std::vector<Command> commands;
  const auto add = [&](std::string_view prefix, const char* name, const Command& arguments) {
    const std::string program = touched(prefix) ? tree.program(name) : "";
    if (!program.empty()) {
      Command command = {program};
      command.insert(command.end(), arguments.begin(), arguments.end());
      if (std::ranges::find(commands, command) == commands.end()) {
        commands.push_back(std::move(command));
      }
    }
  };
  if (touched("/etc/default/grub")) {
    TRY_ASSIGN(commands, grub_menu_commands(tree));
  }
  if (tree.root().exists("/boot/extlinux.conf")) {
    add("/etc/update-extlinux.conf", "update-extlinux", {});
  }
  add("/etc/initramfs-tools/", "update-initramfs", {"-u", "-k", "all"});
  add("/etc/dracut.conf.d/", "dracut", {"--force", "--regenerate-all"});
  add("/etc/mkinitcpio.conf.d/", "mkinitcpio", {"-P"});
  add(kKernelCmdline, "mkinitcpio", {"-P"});  // its unified images
  return commands;
}

void add_new(std::vector<Command>& commands, const std::vector<Command>& more) {
  for (const Command& command : more) {
    if (std::ranges::find(commands, command) == commands.end()) {
      commands.push_back(command);
    }
  }
}

std::vector<Command> reloads(const root::Tree& tree, const Touched& touched) {
  std::vector<Command> commands;
  if (tree.root().exists("/run/systemd/system")) {
    if (touched("/etc/systemd/system/")) {
      commands.push_back({tree.program("systemctl"), "daemon-reload"});
    }
    if (touched("/etc/udev/rules.d/")) {
      commands.push_back({tree.program("udevadm"), "control", "--reload"});
    }
  }
  return commands;
}

Result<> write_changes(const root::Root& root, const std::vector<root::Change>& changes) {
  for (const root::Change& change : changes) {
    TRY(root::put_node(root, change.path, change.after));
  }
  return {};
}

Result<> remove_folders(const root::Root& root, const std::vector<std::string>& outer_first) {
  for (auto folder = outer_first.rbegin(); folder != outer_first.rend(); ++folder) {
    TRY(root::remove_empty_folder(root, *folder));
  }
  return {};
}

// The folder of a path, or the nearest existing folder above it.
std::string nearest_folder(const root::Root& root, const std::string& path) {
  std::string folder = root::parent_of(path);
  while (folder != "/" && !root.exists(folder)) {
    folder = root::parent_of(folder);
  }
  return folder;
}

// The real path of a folder on this machine.
std::string real_path(const Fd& folder) {
  std::error_code error;
  return std::filesystem::read_symlink(fmt::format("/proc/self/fd/{}", folder.get()), error);
}

// Package stores hold the output of a declarative configuration: changes there are lost or refused.
bool is_in_store(const root::Root& root, const Fd& folder) {
  for (const char* const store : {"/nix/store", "/gnu/store"}) {
    const auto top = root.open(store, O_PATH | O_DIRECTORY);
    if (top && (real_path(folder) + "/").starts_with(real_path(*top) + "/")) {
      return true;
    }
  }
  return false;
}

std::vector<std::string> folders_to_make(const root::Root& root,
                                         const std::vector<root::Change>& changes) {
  std::vector<std::string> folders = root::missing_parents(root, kManifest);
  for (const root::Change& change : changes) {
    for (std::string& folder : root::missing_parents(root, change.path)) {
      if (change.after && std::ranges::find(folders, folder) == folders.end()) {
        folders.push_back(std::move(folder));
      }
    }
  }
  return folders;
}

// The record that can undo everything while the changes are being written.
Record until_written(Record record, const Record& earlier, const Commands& commands) {
  for (const std::string& word : earlier.words) {
    if (std::ranges::find(record.words, word) == record.words.end()) {
      record.words.push_back(word);
    }
  }
  for (const root::Change& change : earlier.changes) {
    if (std::ranges::find(record.changes, change.path, &root::Change::path) ==
        record.changes.end()) {
      record.changes.push_back(change);
    }
  }
  record.pending = commands.others;
  return record;
}

// What apply() has changed so far.
struct Begun {
  std::vector<root::Change> changes = {};
  std::vector<Command> stopped = {};
  Record record;  // as it stands while the changes are being written
};

// Restores everything. Returns `why` with the result.
Error taken_back(const root::Root& root, const Begun& begun, const Record& earlier, Error why) {
  Result<> restored;
  for (auto change = begun.changes.rbegin(); change != begun.changes.rend(); ++change) {
    const auto now = root::read_node(root, change->path);
    if (now && *now == change->after) {
      if (const Result<> done = root::put_node(root, change->path, change->before); !done) {
        restored = done;
      }
    }
  }
  if (!restored) {
    why.message += fmt::format(
        "; not every file could be restored ({}): run `vmcore-guest remove` to undo the changes",
        restored.error().message);
    return why;
  }
  // A remaining record does no harm: it lists files with their old content.
  const bool was_set_up = !earlier.changes.empty() || !earlier.pending.empty();
  static_cast<void>(was_set_up ? write_record(root, earlier) : remove_record(root, begun.record));
  std::vector<std::string> made;
  for (const std::string& folder : begun.record.folders) {
    if (std::ranges::find(earlier.folders, folder) == earlier.folders.end()) {
      made.push_back(folder);
    }
  }
  static_cast<void>(remove_folders(root, made));
  for (const Command& command : starts_for(begun.stopped)) {
    static_cast<void>(run_in(root, command));
  }
  why.message += "; every file was restored";
  return why;
}

}  // namespace

Result<> check_writable(const root::Root& root, const std::vector<root::Change>& changes) {
  for (const root::Change& change : changes) {
    TRY_ASSIGN(const Fd folder, root.open(nearest_folder(root, change.path), O_PATH | O_DIRECTORY));
    if (is_in_store(root, folder)) {
      return fail(Errc::denied,
                  "{} is in a package store: change the system configuration instead (NixOS: "
                  "boot.kernelParams, systemd.services; Guix: kernel-arguments, services). Nothing "
                  "was changed",
                  change.path);
    }
    if (::faccessat(AT_FDCWD, fmt::format("/proc/self/fd/{}", folder.get()).c_str(), W_OK,
                    AT_EACCESS) != 0) {
      const int error = errno;
      return fail(Errc::denied, "{} cannot be written ({}): nothing was changed{}", change.path,
                  std::generic_category().message(error),
                  error == EROFS ? ". If it is part of an image, put crashkernel= and a service "
                                   "that runs `vmcore-guest load` into that image"
                                 : "");
    }
  }
  return {};
}

std::string diff_of(const std::vector<root::Change>& changes) {
  std::string text;
  const auto shown = [](const std::optional<root::Node>& node) {
    return !node                                  ? std::string()
           : node->kind == root::Node::Kind::link ? "-> " + node->content
                                                  : node->content;
  };
  for (const root::Change& change : changes) {
    text += fmt::format("# {}: {}\n{}", change.path, change.why,
                        unified_diff(change.path, shown(change.before), shown(change.after)));
  }
  return text;
}

std::vector<Command> stops_for(const root::Tree& tree, const std::vector<root::Change>& changes) {
  std::vector<Command> commands;
  const bool systemd = tree.root().exists("/run/systemd/system");
  const bool openrc = tree.root().exists("/run/openrc");
  for (const root::Change& change : changes) {
    const std::string name = change.path.substr(change.path.rfind('/') + 1);
    const bool goes =
        change.before && change.before->kind == root::Node::Kind::link && !change.after;
    if (goes && systemd && change.path.starts_with("/etc/systemd/system/")) {
      commands.push_back({tree.program("systemctl"), "stop", name});
    } else if (goes && openrc && change.path.starts_with("/etc/runlevels/")) {
      commands.push_back({tree.program("rc-service"), name, "stop"});
    }
  }
  return commands;
}

std::vector<Command> starts_for(std::vector<Command> stops) {
  for (Command& command : stops) {
    std::ranges::replace(command, std::string("stop"), std::string("start"));
  }
  return stops;
}

Result<Commands> commands_for(Plan& plan, const std::vector<root::Change>& changes,
                              const std::vector<Command>& pending) {
  const root::Tree& tree = plan.tree;
  const Touched touched(changes);
  Commands commands;
  TRY_ASSIGN(commands.others, commands_of_images(tree, touched));
  add_new(commands.others, plan.overdue);
  if (tree.root().running()) {
    commands.stops = stops_for(tree, changes);
    const std::vector<Command> more = reloads(tree, touched);
    commands.others.insert(commands.others.end(), more.begin(), more.end());
  } else if (!tree.root().exists("/proc/self")) {
    for (const Command& command : commands.others) {
      plan.by_hand.push_back(fmt::format(
          "run `{}` inside the guest (it cannot run here: the /proc of the image is not mounted)",
          shell_command(command)));
    }
    commands.others.clear();
  }
  add_new(commands.others, pending);
  return commands;
}

Result<Outcome> apply(const root::Root& root, const std::vector<root::Change>& changes,
                      Record record, const Record& earlier, const Commands& commands) {
  const bool forget = record.changes.empty();
  record.folders = earlier.folders;
  Begun begun{.record = earlier};
  const auto abandon = [&](Error why) {
    return tl::unexpected(taken_back(root, begun, earlier, std::move(why)));
  };
  if (!forget) {
    const std::vector<std::string> more = folders_to_make(root, changes);
    record.folders.insert(record.folders.end(), more.begin(), more.end());
    begun.record = until_written(record, earlier, commands);
    if (const Result<> noted = write_record(root, begun.record); !noted) {
      return abandon(noted.error());
    }
  }
  Outcome outcome;
  begun.stopped = commands.stops;
  for (const Command& command : commands.stops) {
    // A failed stop is not pending: the service may be gone.
    if (Result<> done = run_in(root, command); !done) {
      outcome.failed.push_back(done.error().message);
    }
  }
  begun.changes = changes;
  if (const Result<> written = write_changes(root, changes); !written) {
    return abandon(written.error());
  }
  for (const Command& command : commands.others) {
    if (Result<> done = run_in(root, command); !done) {
      outcome.failed.push_back(done.error().message);
      record.pending.push_back(command);
    }
  }
  if (!forget || !record.pending.empty()) {
    TRY(write_record(root, record));
    return outcome;
  }
  TRY(remove_record(root, earlier));
  TRY(remove_folders(root, record.folders));
  return outcome;
}

}  // namespace vmcore::guest::setup
