// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/setup/make_plan.h"

#include <algorithm>
#include <array>
#include <utility>

#include "guest/config/capture_config.h"
#include "guest/image/disk_folder.h"
#include "guest/image/needed_modules.h"
#include "guest/save/target_kinds.h"
#include "guest/setup/boot_loader.h"
#include "guest/setup/declared.h"
#include "guest/setup/early_hooks.h"
#include "guest/setup/early_modules.h"
#include "guest/setup/kernels.h"
#include "guest/setup/pstore.h"
#include "guest/setup/sealed.h"
#include "guest/setup/services.h"

namespace vmcore::guest::setup {
namespace {

struct PanicTrigger {
  const char* name;
  const char* settings;
};

constexpr std::array<PanicTrigger, 8> kPanicTriggers = {{
    {"oops", "kernel.panic_on_oops = 1\n"},
    // The fault that inject-nmi of the host causes.
    {"nmi", "kernel.unknown_nmi_panic = 1\nkernel.panic_on_unrecovered_nmi = 1\n"},
    {"softlockup", "kernel.softlockup_panic = 1\n"},
    {"hung-task", "kernel.hung_task_panic = 1\n"},
    // Of the whole machine, not of a cgroup.
    {"oom", "vm.panic_on_oom = 1\n"},
    {"rcu-stall", "kernel.panic_on_rcu_stall = 1\n"},
    // sysctl ignores a setting behind "-" that the kernel lacks: the detector needs a PMU.
    {"hard-lockup", "-kernel.hardlockup_panic = 1\n"},
    {"warn", "kernel.panic_on_warn = 1\n"},
}};

constexpr std::string_view kConfigHead =
    R"(# What vmcore-guest does with a crash: CONFIGURATION in vmcore-guest(8). `vmcore-guest load` copies
# this file into the capture image.
#
# target = TARGET            one line for each target, in the order in which they are tried:
#                            {}
# level = 0..31              the pages to leave out of the dump, as makedumpfile -d
# keep = N                   how many dumps to keep in a file system; 0: all
# layout = folders           a folder for each dump, or flat: files side by side, as EVE-OS does
# deadline = SECONDS         when the capture kernel gives up; 0: never
# on-success, on-failure =   reboot, poweroff, halt or shell; on-success also reboot:SECONDS
# encrypt-to = KEY           seal every stream to this key (`vmcorectl key`); tcp needs it
# network = INTERFACE,ADDRESS/PREFIX[,GATEWAY]     for tcp and ssh; default: found automatically
# ssh-client, ssh-key, ssh-known-hosts = FILE      for ssh
# ssh-command = COMMAND                            for ssh: runs on the other machine
)";

std::string config_head() {
  return fmt::format(kConfigHead,
                     fmt::join(save::target_forms(), ",\n#                            "));
}

std::string settings_of(const std::vector<std::string>& panic_on) {
  std::string text;
  for (const PanicTrigger& trigger : kPanicTriggers) {
    if (std::ranges::find(panic_on, trigger.name) != panic_on.end()) {
      text += trigger.settings;
    }
  }
  return text;
}

// Decides who gets the slot, according to `slot`; clears `slot` if there is no other kdump service.
Result<> settle_slot(Plan& plan, std::string& slot) {
  TRY_ASSIGN(auto other, kexec::find_other_kdump(plan.tree));
  if (!other) {
    if (!slot.empty()) {
      plan.notes.emplace_back("no other kdump service is enabled");
    }
    slot.clear();
    return {};
  }
  if (slot.empty()) {
    return tl::unexpected(kexec::slot_is_taken(*other));
  }
  if (slot == "beside") {
    plan.notes.push_back(
        fmt::format("{} stays enabled and loads its own capture kernel", other->unit));
    return add_collector(plan, *other);
  }
  while (other) {
    plan.notes.push_back(
        fmt::format("{} is disabled; `vmcore-guest remove` enables it again", other->unit));
    for (const std::string& link : other->links) {
      plan.tree.put(link, std::nullopt, "only one capture kernel can be loaded");
    }
    TRY_ASSIGN(other, kexec::find_other_kdump(plan.tree));
  }
  return {};
}

Result<> check_notifiers(const root::Tree& tree) {
  for (const std::string& release : kernel_releases(tree)) {
    // Before Linux 5.6 (PVPANIC_CRASH_LOADED), pvpanic reports a panic without a capture kernel,
    // and a host that destroys or pauses panicked guests does so before the capture kernel runs.
    if (!is_at_least(release, 5, 6)) {
      return fail(Errc::unsupported,
                  "--notify-host needs Linux 5.6 or later, and kernel {} is installed: omit it; "
                  "the capture kernel notifies the host itself",
                  release);
    }
  }
  return {};
}

// The reservation, and what it is judged by.
void want_reservation(Plan& plan, CommandLine& line, const Record& earlier,
                      const SetupOptions& options) {
  const kexec::Need need = largest_need(plan.tree);
  const std::string recommended = kexec::crashkernel_word(need);
  line.recommended = recommended.substr(recommended.find('=') + 1);
  line.machine = machine_of(plan.tree, need);
  line.keep_reservation = options.crashkernel.empty();
  line.words.push_back(options.crashkernel.empty() ? recommended
                                                   : "crashkernel=" + options.crashkernel);
  for (const std::string& word : earlier.words) {
    line.chosen = word.starts_with("crashkernel=") ? word : line.chosen;
  }
  const kexec::Reservation asked = kexec::reservation_of(line.words.back(), line.machine);
  if (!line.keep_reservation && !asked.serves()) {
    plan.by_hand.push_back(
        fmt::format("{} does not serve: {}. Use `vmcore-guest setup "
                    "--crashkernel {}`",
                    asked.word, asked.fault, line.recommended));
  }
}

Result<CommandLine> wanted_words(Plan& plan, const Record& earlier, const SetupOptions& options) {
  const root::Tree& tree = plan.tree;
  CommandLine line;
  if (options.slot != "beside") {
    want_reservation(plan, line, earlier, options);
    if (options.slot == "replace") {
      line.not_lasting.emplace_back(kexec::kKdumpToolsReservation);
    }
    // Alpine's kernels start with kexec_load_disabled set (aports, main/linux-lts).
    if (tree.root().exists("/etc/alpine-release")) {
      line.words.emplace_back("kexec_load_disabled=0");
    }
  }
  if (options.notify_host) {
    TRY(check_notifiers(tree));
    line.words.emplace_back("crash_kexec_post_notifiers");
  }
  if (options.pstore) {
    TRY_ASSIGN(const root::Words words, add_pstore(plan));
    line.words.insert(line.words.end(), words.begin(), words.end());
  }
  return line;
}

// kernel.kexec_load_limit_panic is of Linux 6.3; before, only all loads can be forbidden.
std::string_view lock_options(const root::Tree& tree) {
  const std::vector<std::string> releases = kernel_releases(tree);
  const bool has_limit = std::ranges::all_of(
      releases, [](const std::string& release) { return is_at_least(release, 6, 3); });
  return has_limit ? "--force" : "--disable --force";
}

Result<> check_costs(const Plan& plan, const Record& earlier, bool force) {
  if (force || plan.words == earlier.words) {
    return {};
  }
  TRY_ASSIGN(const auto costs, costs_of_changed_line(plan.tree));
  if (costs.empty()) {
    return {};
  }
  std::string text;
  for (const std::string& cost : costs) {
    text += (text.empty() ? "" : "; ") + cost;
  }
  return fail(Errc::denied, "{}. Use --force to change the command line anyway", text);
}

// A crash that the host does not take is lost if no other target is left.
void offer_fallback(Plan& plan, const config::CaptureConfig& config) {
  const bool only_host = std::ranges::all_of(config.targets, [](const config::Target& target) {
    return save::place_of(target) == save::Place::host;
  });
  const auto target = only_host ? image::target_in(plan.tree.root(), "/var/crash") : std::nullopt;
  if (target && image::check_target(plan.tree.root(), config, *target)) {
    plan.notes.push_back(fmt::format(
        "a crash that the host does not take is lost: add \"target = {}\" to {} to save "
        "it in this guest then",
        config::format_target(*target), config::kConfigFile));
  }
}

// Reports what would otherwise fail at the next boot or during a crash.
Result<> check_configuration(Plan& plan, const std::string& text) {
  const auto config = config::parse_config(text);
  if (!config) {
    return in_context(config.error(), config::kConfigFile);
  }
  for (const config::Target& target : config->targets) {
    if (const Result<> checked = image::check_target(plan.tree.root(), *config, target); !checked) {
      plan.by_hand.push_back(fmt::format("{}: target {}: {}", config::kConfigFile, target.kind,
                                         checked.error().message));
    }
  }
  offer_fallback(plan, *config);
  return {};
}

Result<> add_configuration(Plan& plan, const SetupOptions& options) {
  const std::string config(config::kConfigFile);
  // The file belongs to the user, including the lines that setup wrote.
  TRY_ASSIGN(auto there, root::read_node(plan.tree.root(), config));
  if (!there) {
    there = root::file_node(config_head() + config::format_config(config::CaptureConfig()));
  }
  if (there->kind == root::Node::Kind::file) {
    TRY(check_configuration(plan, there->content));
  }
  plan.tree.put(config, *there, "what to do with a crash");
  const std::string settings = settings_of(options.panic_on);
  if (!settings.empty()) {
    TRY(plan.tree.put_ours("/etc/sysctl.d/90-vmcore-guest.conf",
                           root::file_node(fmt::format("{}\n{}", kOurMark, settings)),
                           "which faults cause a panic"));
  }
  return {};
}

}  // namespace

std::vector<std::string> panic_triggers() {
  std::vector<std::string> names;
  for (const PanicTrigger& trigger : kPanicTriggers) {
    names.emplace_back(trigger.name);
  }
  return names;
}

Result<Plan> make_plan(const root::Root& root, const Record& earlier, SetupOptions& options) {
  Plan plan(root);
  TRY(refuse_declared(plan.tree, kexec::crashkernel_word(largest_need(plan.tree))));
  TRY(set_base(plan.tree, earlier));
  if (options.slot.empty()) {
    options.slot = earlier.slot;
  }
  TRY(settle_slot(plan, options.slot));
  TRY(add_early_modules(plan));
  TRY_ASSIGN(const CommandLine line, wanted_words(plan, earlier, options));
  if (!line.words.empty()) {
    TRY(add_to_command_line(plan, line));
  }
  if (options.early && options.slot == "beside") {
    return fail(Errc::invalid,
                "--early loads a capture kernel, and with --beside the other service loads its "
                "own: omit one of them");
  }
  TRY(options.early ? add_early_hooks(plan) : Result<>());
  if (options.slot != "beside") {
    TRY(add_service(plan, options.lock ? lock_options(plan.tree) : ""));
  }
  TRY(add_configuration(plan, options));
  TRY(check_costs(plan, earlier, options.force));
  return plan;
}

}  // namespace vmcore::guest::setup
