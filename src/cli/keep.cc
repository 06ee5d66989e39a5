// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/cli/keep.h"

#include <sys/utsname.h>

#include <cstdio>
#include <utility>

#include "src/base/printable.h"
#include "src/cli/dump_options.h"
#include "src/cli/store.h"

namespace vmcore::cli {
namespace {

namespace fs = std::filesystem;

std::string host_name() {
  utsname names{};
  return ::uname(&names) == 0 ? names.nodename : "";
}

void note(const Common& common, const std::string& text) {
  if (!common.quiet) {
    print_remarks({{Errc::limit, text, Severity::fact}});
  }
}

bool has_log(const std::string& folder) {
  std::error_code ignored;
  return fs::exists(folder + "/" + kReceivedLogName, ignored);
}

Result<> make_room(const vault::Vault& vault, const vault::Wanted& wanted, const Common& common) {
  TRY_ASSIGN(const vault::Pruned pruned,
             vault.prune(vault::kUsualBudget, wanted, now_in_seconds(), false));
  for (const report::ListedCrash& crash : pruned.removed) {
    note(common, fmt::format("{} was removed to make room", crash.id));
  }
  if (!pruned.exceeded.empty()) {
    return fail(Errc::no_space,
                "{} has no room for a dump of about {} ({}), and no more may be removed: see "
                "vmcorectl list, rm and hold, or write the dump elsewhere with -o",
                vault.path(), human_size(wanted.bytes), pruned.exceeded);
  }
  return {};
}

}  // namespace

void add_keep_options(CLI::App& command, KeepChoice& choice,
                      std::initializer_list<const char*> others) {
  CLI::Option* const keep = command.add_flag(
      "--keep", choice.keep, "Keep the dump in the store, with its manifest and kernel log");
  add_store_option(command, choice.store);
  command.get_option("--store")->needs(keep);
  for (const char* const other : others) {
    keep->excludes(command.get_option(other));
  }
}

Result<Keeping> Keeping::begin(const KeepChoice& choice, const std::string& guest,
                               const Common& common) {
  TRY_ASSIGN(vault::Vault opened, vault::Vault::open_to_write(choice.store));
  auto vault = std::make_unique<vault::Vault>(std::move(opened));
  TRY_ASSIGN(const vault::Recovered recovered, vault->recover(describe_crash));
  for (const vault::KeptCrash& crash : recovered.completed) {
    note(common, fmt::format("{} was left by a program that ended; it is complete now", crash.id));
  }
  TRY_ASSIGN(const std::uint64_t estimate, vault->estimate_for(guest));
  TRY(make_room(*vault, {estimate, guest}, common));
  TRY_ASSIGN(vault::Draft draft, vault->begin(estimate));
  report::Manifest manifest{.time = now_in_seconds(),
                            .capture = {.guest = {.name = guest, .host = host_name()}},
                            .tool = std::string("vmcorectl ") + VMCORECTL_VERSION};
  TRY(draft.checkpoint(manifest));
  return Keeping(std::move(vault), std::move(draft), std::move(manifest));
}

Result<> Keeping::commit(const std::string& witness) {
  if (!kept_) {
    manifest_.witness = witness;
    kept_ = draft_.commit(manifest_, describe_crash);
  }
  if (!*kept_) {
    return tl::unexpected(kept_->error());
  }
  const report::Manifest& manifest = (*kept_)->manifest;
  if (manifest.dump || manifest.remarks.empty()) {
    return {};
  }
  return fail(manifest.remarks.back().code, "{}: {}", (*kept_)->id, manifest.remarks.back().text);
}

void Keeping::finish(Result<job::DumpResult>& dump, const std::string& witness) {
  if (!dump && has_log(draft_path_)) {
    static_cast<void>(commit(witness));
    return;
  }
  if (!dump) {
    return;
  }
  if (Result<> committed = commit(witness); !committed) {
    dump = tl::unexpected(std::move(committed).error());
    return;
  }
  dump->path = final_path(dump->path);
  if (const auto& doubt = (*kept_)->doubt) {
    dump->name_may_go = true;
    dump->summary.remarks.push_back(*doubt);
  }
}

fs::path Keeping::final_path(const fs::path& path) const {
  if (!kept_ || !*kept_ || path.empty()) {
    return path;
  }
  const fs::path name = path.filename() == kReceivedLogName ? fs::path(kLogName) : path.filename();
  return fs::path((*kept_)->path) / name;
}

std::string Keeping::told() const {
  return kept_ && *kept_ ? fmt::format("kept as       {}\n", printable((*kept_)->id)) : "";
}

void Keeping::record(const std::string& action, bool done, const std::string& error) const {
  if (kept_ && *kept_) {
    static_cast<void>(
        vault_->set_policy((*kept_)->id, {.action = action, .done = done, .error = error}));
  }
}

}  // namespace vmcore::cli
