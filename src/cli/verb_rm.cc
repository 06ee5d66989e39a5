// SPDX-License-Identifier: GPL-2.0-or-later
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "src/cli/audit_trail.h"
#include "src/cli/store.h"
#include "src/cli/verb.h"
#include "src/command/exit_code.h"
#include "src/command/report_error.h"

namespace vmcore::cli {
namespace {

struct Options {
  StoreChoice store;
  std::vector<std::string> crashes;
};

// All are found before the first goes: -1 means the same crash throughout.
Result<std::vector<report::ListedCrash>> find_all(const vault::Vault& vault,
                                                  const Options& options) {
  std::vector<report::ListedCrash> found;
  for (const std::string& word : options.crashes) {
    TRY_ASSIGN(report::ListedCrash crash, find_listed(vault, word));
    found.push_back(std::move(crash));
  }
  return found;
}

int run(const Options& options, const Common& common) {
  const auto vault = open_store(options.store);
  const auto crashes = vault ? find_all(*vault, options) : tl::unexpected(vault.error());
  if (!crashes) {
    return report_error(crashes.error(), common);
  }
  std::size_t removed = 0;
  for (const report::ListedCrash& crash : *crashes) {
    const Result<> gone = vault->remove(crash.id);
    audit_stored(audit::Deed::remove, crash, gone, "rm");
    if (!gone) {
      report_error(gone.error());
      continue;
    }
    ++removed;
    if (!common.quiet) {
      fmt::print("removed {}\n", crash.id);
    }
  }
  return removed == crashes->size() ? kExitDone : removed == 0 ? kExitFailed : kExitNotAsAsked;
}

}  // namespace

Run add_rm(CLI::App& command, const Common& common) {
  const auto options = std::make_shared<Options>();
  command.add_option("ID", options->crashes, "Stored crashes: IDs, or -1 for the newest")
      ->required();
  add_store_option(command, options->store);
  return [options, &common] { return run(*options, common); };
}

}  // namespace vmcore::cli
