// SPDX-License-Identifier: GPL-2.0-or-later
#include <cstdio>
#include <memory>
#include <string>

#include "src/base/units.h"
#include "src/cli/audit_trail.h"
#include "src/cli/dump_options.h"
#include "src/cli/size_option.h"
#include "src/cli/store.h"
#include "src/cli/verb.h"
#include "src/command/exit_code.h"
#include "src/command/report_error.h"
#include "src/job/describe_crash.h"

namespace vmcore::cli {
namespace {

struct Options {
  StoreChoice store;
  vault::Budget budget;
  std::string age;
  bool dry_run = false;
  bool only_complete = false;
};

bool is_given(const vault::Budget& budget) {
  return budget.bytes || budget.share || budget.free_bytes || budget.free_share || budget.count ||
         budget.age || budget.guest_bytes || budget.guest_count;
}

Result<> recover(const vault::Vault& vault) {
  TRY_ASSIGN(const vault::Recovered recovered, vault.recover(job::describe_crash));
  for (const vault::KeptCrash& crash : recovered.completed) {
    fmt::print("completed {}: the program that wrote it ended\n", crash.id);
  }
  if (recovered.cleared != 0) {
    fmt::print("cleared {} folders that were left behind\n", recovered.cleared);
  }
  for (const Error& error : recovered.failed) {
    report_error(error);
  }
  return {};
}

int run(const Options& options, const Common& common) {
  const auto vault = open_store(options.store);
  if (!vault) {
    return report_error(vault.error(), common);
  }
  if (const Result<> recovered = options.dry_run ? Result<>() : recover(*vault); !recovered) {
    return report_error(recovered.error(), common);
  }
  if (options.only_complete) {
    return kExitDone;
  }
  const auto config = is_given(options.budget) ? config::Config{.budget = options.budget}
                                               : config_for(options.store);
  const auto pruned = config ? vault->prune(config->budget, {}, now_in_seconds(), options.dry_run)
                             : tl::unexpected(config.error());
  if (!pruned) {
    return report_error(pruned.error(), common);
  }
  for (const report::ListedCrash& crash : pruned->removed) {
    if (!options.dry_run) {
      audit_stored(audit::Deed::remove, crash, {}, "prune");
    }
    fmt::print("{} {} ({})\n", options.dry_run ? "would remove" : "removed", crash.id,
               human_size(crash.bytes));
  }
  if (pruned->exceeded.empty()) {
    return kExitDone;
  }
  print_remarks({{Errc::limit, pruned->exceeded + " exceeds its limit, and nothing more may go"}});
  return kExitNotAsAsked;
}

}  // namespace

Run add_prune(CLI::App& command, const Common& common) {
  const auto options = std::make_shared<Options>();
  vault::Budget& budget = options->budget;
  const auto add_size = [&](const char* name, std::optional<std::uint64_t>& value,
                            const char* help) {
    takes_size(command.add_option_function<std::uint64_t>(
        name, [&value](std::uint64_t size) { value = size; }, help));
  };
  add_size("--max-size", budget.bytes, "The most that the store takes (20G)");
  add_size("--keep-free", budget.free_bytes, "What stays free on its file system");
  add_size("--guest-size", budget.guest_bytes, "The most that each guest takes");
  command.add_option("--max-share", budget.share, "The most percent of the file system")
      ->check(CLI::Range(0U, 100U));
  command.add_option("--keep-free-share", budget.free_share, "The percent of it that stays free")
      ->check(CLI::Range(0U, 100U));
  command.add_option("--max-count", budget.count, "The most crashes");
  command.add_option("--guest-count", budget.guest_count, "The most crashes of each guest");
  command.add_option("--max-age", options->age, "The greatest age: 2h, 30d")
      ->check([](const std::string& text) {
        return parse_duration(text) ? "" : "give an age such as 90s, 15m, 2h or 30d";
      });
  command.add_flag("--dry-run", options->dry_run, "Print what would go, and remove nothing");
  command
      .add_flag("--only-complete", options->only_complete,
                "Complete what was left behind, and remove no crash")
      ->excludes(command.get_option("--dry-run"));
  add_store_option(command, options->store);
  return [options, &common] {
    options->budget.age = parse_duration(options->age);
    return run(*options, common);
  };
}

}  // namespace vmcore::cli
