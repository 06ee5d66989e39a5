// SPDX-License-Identifier: GPL-2.0-or-later
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "src/cli/store.h"
#include "src/cli/verb.h"
#include "src/command/exit_code.h"
#include "src/command/report_error.h"

namespace vmcore::cli {
namespace {

struct Options {
  std::string store;
  std::vector<std::string> crashes;
};

// All are found before the first goes: -1 means the same crash throughout.
Result<std::vector<std::string>> find_all(const vault::Vault& vault, const Options& options) {
  std::vector<std::string> ids;
  for (const std::string& word : options.crashes) {
    TRY_ASSIGN(std::string id, vault.find(word));
    ids.push_back(std::move(id));
  }
  return ids;
}

int run(const Options& options, const Common& common) {
  const auto vault = vault::Vault::open(options.store);
  const auto ids = vault ? find_all(*vault, options) : tl::unexpected(vault.error());
  if (!ids) {
    return report_error(ids.error(), common);
  }
  std::size_t removed = 0;
  for (const std::string& id : *ids) {
    if (const Result<> gone = vault->remove(id); !gone) {
      report_error(gone.error());
      continue;
    }
    ++removed;
    if (!common.quiet) {
      fmt::print("removed {}\n", id);
    }
  }
  return removed == ids->size() ? kExitDone : removed == 0 ? kExitFailed : kExitNotAsAsked;
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
