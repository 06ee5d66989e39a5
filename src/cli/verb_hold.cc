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
  bool release = false;
};

Result<> hold(const Options& options, const Common& common) {
  TRY_ASSIGN(const vault::Vault vault, open_store(options.store));
  for (const std::string& word : options.crashes) {
    TRY_ASSIGN(const report::ListedCrash crash, find_listed(vault, word));
    const Result<> held = vault.set_held(crash.id, !options.release);
    audit_stored(audit::Deed::hold, crash, held, options.release ? "release" : "hold");
    TRY(held);
    if (!common.quiet) {
      fmt::print("{} {}\n", options.release ? "released" : "held", crash.id);
    }
  }
  return {};
}

}  // namespace

Run add_hold(CLI::App& command, const Common& common) {
  const auto options = std::make_shared<Options>();
  command.add_option("ID", options->crashes, "Stored crashes: IDs, or -1 for the newest")
      ->required();
  command.add_flag("--release", options->release, "Give them free again");
  add_store_option(command, options->store);
  return [options, &common] {
    const Result<> held = hold(*options, common);
    return held ? int{kExitDone} : report_error(held.error(), common);
  };
}

}  // namespace vmcore::cli
