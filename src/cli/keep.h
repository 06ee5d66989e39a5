// SPDX-License-Identifier: GPL-2.0-or-later
// `dump --keep` and `receive --keep`: the dump goes into the store, with its manifest and log.
#pragma once

#include <filesystem>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "src/cli/store.h"
#include "src/cli/verb.h"
#include "src/job/convert_job.h"
#include "src/vault/vault.h"

namespace vmcore::cli {

struct KeepChoice {
  bool keep = false;
  StoreChoice store;
  // What the crashes of the guest take at most, where a service knows of less than is configured.
  vault::GuestLimits guest;
};

// Adds --keep, and with it --store, --config, --guest-size and --guest-count. The options that
// `others` names say where else the dump goes.
void add_keep_options(CLI::App& command, KeepChoice& choice,
                      std::initializer_list<const char*> others);

class Keeping {
 public:
  // Completes what others left in the store, and makes room for a dump of that guest; what is done
  // for that is told on standard error.
  static Result<Keeping> begin(const KeepChoice& choice, const std::string& guest,
                               const Common& common);

  // Where the job writes the dump.
  std::filesystem::path output() const { return draft_.path() + "/vmcore"; }

  // Commits what is in the folder, once; further calls say what came of the first. `witness`, where
  // it is known: who says that the guest crashed.
  Result<> commit(const std::string& witness = {});
  // After the job: commits a dump that was kept, or the log that came without one, and gives
  // `dump` the path that it has now.
  void finish(Result<job::DumpResult>& dump, const std::string& witness = {});

  // The path of a file in the draft, as it is after the commit.
  std::filesystem::path final_path(const std::filesystem::path& path) const;
  // "kept as ID", for people; empty where nothing was kept.
  std::string told() const;
  // What was done with the guest then goes into the crash's state.
  void record(const std::string& action, bool done, const std::string& error) const;

 private:
  Keeping(std::unique_ptr<vault::Vault> vault, vault::Draft draft, report::Manifest manifest)
      : vault_(std::move(vault)), draft_(std::move(draft)), manifest_(std::move(manifest)) {}

  std::unique_ptr<vault::Vault> vault_;  // the draft borrows its descriptor
  vault::Draft draft_;
  report::Manifest manifest_;
  std::string draft_path_ = draft_.path();
  std::optional<Result<vault::KeptCrash>> kept_;
};

}  // namespace vmcore::cli
