#include "guest/setup/apply.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "guest/setup/boot_loader.h"
#include "src/base/unified_diff.h"

namespace vmcore::guest {
namespace {

// Runs it inside the root, its output passed on.
Result<> run_in(const Root& root, const Command& command) {
  TRY_ASSIGN(const Fd top, root.open("/", O_RDONLY | O_DIRECTORY));
  std::vector<char*> words;
  words.reserve(command.size() + 1);
  for (const std::string& word : command) {
    words.push_back(const_cast<char*>(word.c_str()));  // NOLINT: execv does not write there
  }
  words.push_back(nullptr);
  const pid_t child = ::fork();
  if (child < 0) {
    return fail_errno(errno, "fork");
  }
  if (child == 0) {
    const bool inside = root.running() || (::fchdir(top.get()) == 0 && ::chroot(".") == 0);
    if (inside && ::chdir("/") == 0) {
      ::execv(words[0], words.data());
    }
    ::_exit(127);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) {
      return fail_errno(errno, "waitpid");
    }
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
    return {};
  }
  return fail(Errc::io, "`{}`: {} {}", joined(command), WIFEXITED(status) ? "exit" : "signal",
              WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}

// Whether a change is to a path that begins so.
class Touched {
 public:
  explicit Touched(const std::vector<Change>& changes) : changes_(&changes) {}
  bool operator()(std::string_view prefix) const {
    return std::ranges::any_of(
        *changes_, [prefix](const Change& change) { return change.path.starts_with(prefix); });
  }

 private:
  const std::vector<Change>* changes_;
};

// What makes GRUB's menu; nothing where there is no menu yet, or where it reads the entries.
Result<Command> grub_command(const Tree& tree) {
  TRY_ASSIGN(const std::string defaults, tree.text("/etc/default/grub"));
  if (has_word(defaults, "GRUB_ENABLE_BLSCFG=true") && entries_found(tree)) {
    return Command();
  }
  for (const std::string name : {"grub", "grub2"}) {
    const std::string menu = "/boot/" + name + "/grub.cfg";
    const std::string mkconfig = tree.program(name + "-mkconfig");
    if (!mkconfig.empty() && tree.root().exists(menu)) {
      return Command{mkconfig, "-o", menu};
    }
  }
  return Command();
}

std::vector<Command> commands_of_images(const Tree& tree, const Touched& touched) {
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
    if (auto command = grub_command(tree); command && !command->empty()) {
      commands.push_back(std::move(*command));
    }
  }
  if (tree.root().exists("/boot/extlinux.conf")) {
    add("/etc/update-extlinux.conf", "update-extlinux", {});
  }
  add("/etc/initramfs-tools/", "update-initramfs", {"-u"});
  add("/etc/dracut.conf.d/", "dracut", {"--force", "--regenerate-all"});
  add("/etc/mkinitcpio.conf.d/", "mkinitcpio", {"-P"});
  add(kKernelCmdline, "mkinitcpio", {"-P"});  // its unified images
  return commands;
}

std::vector<Command> reloads(const Tree& tree, const Touched& touched) {
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

Result<> write_changes(const Root& root, const std::vector<Change>& changes) {
  for (const Change& change : changes) {
    if (!change.after && !root.exists(parent_of(change.path))) {
      continue;
    }
    for (const std::string& folder : missing_parents(root, change.path)) {
      TRY(make_folder(root, folder));
    }
    TRY(write_node(root, change.path, change.after));
  }
  return {};
}

std::vector<std::string> folders_to_make(const Root& root, const std::vector<Change>& changes) {
  std::vector<std::string> folders = missing_parents(root, kManifest);
  for (const Change& change : changes) {
    for (std::string& folder : missing_parents(root, change.path)) {
      if (change.after && std::ranges::find(folders, folder) == folders.end()) {
        folders.push_back(std::move(folder));
      }
    }
  }
  return folders;
}

// What takes back all that may stand there while the changes are being written.
Record until_written(Record record, const Record& earlier, const Commands& commands) {
  for (const std::string& word : earlier.words) {
    if (std::ranges::find(record.words, word) == record.words.end()) {
      record.words.push_back(word);
    }
  }
  for (const Change& change : earlier.changes) {
    if (std::ranges::find(record.changes, change.path, &Change::path) == record.changes.end()) {
      record.changes.push_back(change);
    }
  }
  record.pending = commands.others;
  return record;
}

}  // namespace

std::string diff_of(const std::vector<Change>& changes) {
  std::string text;
  const auto shown = [](const std::optional<Node>& node) {
    return !node                            ? std::string()
           : node->kind == Node::Kind::link ? "-> " + node->content
                                            : node->content;
  };
  for (const Change& change : changes) {
    text += fmt::format("# {}: {}\n{}", change.path, change.why,
                        unified_diff(change.path, shown(change.before), shown(change.after)));
  }
  return text;
}

std::vector<Command> stops_for(const Tree& tree, const std::vector<Change>& changes) {
  std::vector<Command> commands;
  const bool systemd = tree.root().exists("/run/systemd/system");
  const bool openrc = tree.root().exists("/run/openrc");
  for (const Change& change : changes) {
    const std::string name = change.path.substr(change.path.rfind('/') + 1);
    const bool goes = change.before && change.before->kind == Node::Kind::link && !change.after;
    if (goes && systemd && change.path.starts_with("/etc/systemd/system/")) {
      commands.push_back({tree.program("systemctl"), "stop", name});
    } else if (goes && openrc && change.path.starts_with("/etc/runlevels/")) {
      commands.push_back({tree.program("rc-service"), name, "stop"});
    }
  }
  return commands;
}

Commands commands_for(const Tree& tree, const std::vector<Change>& changes,
                      const std::vector<Command>& pending, std::vector<std::string>& by_hand) {
  const Touched touched(changes);
  Commands commands{.stops = {}, .others = commands_of_images(tree, touched)};
  if (tree.root().running()) {
    commands.stops = stops_for(tree, changes);
    const std::vector<Command> more = reloads(tree, touched);
    commands.others.insert(commands.others.end(), more.begin(), more.end());
  } else if (!tree.root().exists("/proc/self")) {
    for (const Command& command : commands.others) {
      by_hand.push_back(
          fmt::format("run `{}` in it (here it cannot: nothing is mounted at its "
                      "/proc)",
                      joined(command)));
    }
    commands.others.clear();
  }
  for (const Command& command : pending) {
    if (std::ranges::find(commands.others, command) == commands.others.end()) {
      commands.others.push_back(command);
    }
  }
  return commands;
}

Result<Outcome> apply(const Root& root, const std::vector<Change>& changes, Record record,
                      const Record& earlier, const Commands& commands) {
  const bool forget = record.changes.empty();
  record.folders = earlier.folders;
  if (!forget) {
    const std::vector<std::string> more = folders_to_make(root, changes);
    record.folders.insert(record.folders.end(), more.begin(), more.end());
    TRY(write_record(root, until_written(record, earlier, commands)));
  }
  Outcome outcome;
  for (const Command& command : commands.stops) {
    // Not pending: there may be nothing left that could be stopped.
    if (Result<> done = run_in(root, command); !done) {
      outcome.failed.push_back(done.error().message);
    }
  }
  TRY(write_changes(root, changes));
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
  for (auto folder = record.folders.rbegin(); folder != record.folders.rend(); ++folder) {
    TRY(remove_empty_folder(root, *folder));
  }
  return outcome;
}

}  // namespace vmcore::guest
