// SPDX-License-Identifier: GPL-2.0-or-later
#include <cstdio>
#include <memory>
#include <string>

#include "src/cli/store.h"
#include "src/cli/verb.h"
#include "src/command/exit_code.h"
#include "src/command/report_error.h"

namespace vmcore::cli {
namespace {

struct Options {
  StoreChoice store;
  std::string crash;
  bool folder = false;
};

int run(const Options& options, const Common& common) {
  const auto open = open_crash(options.store, options.crash);
  if (!open) {
    return report_error(open.error(), common);
  }
  const auto& manifest = open->crash.manifest;
  if (options.folder) {
    std::puts(open->path.c_str());
    return kExitDone;
  }
  if (!manifest || !manifest->dump) {
    return report_error(
        {Errc::not_found,
         fmt::format("{} has no memory (--folder prints its folder)", open->crash.id)},
        common);
  }
  fmt::print("{}/{}\n", open->path, manifest->dump->file);
  return kExitDone;
}

}  // namespace

Run add_path(CLI::App& command, const Common& common) {
  const auto options = std::make_shared<Options>();
  command.add_option("ID", options->crash, "A stored crash: its ID, or -1 for the newest")
      ->required();
  command.add_flag("--folder", options->folder, "Print the folder of the crash");
  add_store_option(command, options->store);
  return [options, &common] { return run(*options, common); };
}

}  // namespace vmcore::cli
