// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/cli/keep.h"

#include <sys/utsname.h>

#include <cstdio>
#include <utility>

#include "src/base/printable.h"
#include "src/cli/audit_trail.h"
#include "src/cli/dump_options.h"

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

// Where `limits` says less of that guest.
vault::Budget with_limits(vault::Budget budget, const vault::GuestLimits& limits,
                          const std::string& guest) {
  if (limits.bytes || limits.count) {
    budget.of_guest = [of = budget, limits, guest](const std::string& name,
                                                   const std::string& uuid) {
      vault::GuestLimits most = of.limits_of(name, uuid);
      if (name == guest) {
        most.bytes = limits.bytes ? limits.bytes : most.bytes;
        most.count = limits.count ? limits.count : most.count;
      }
      return most;
    };
  }
  return budget;
}

Result<> make_room(const vault::Vault& vault, const vault::Budget& budget,
                   const vault::Wanted& wanted, const Common& common) {
  TRY_ASSIGN(const vault::Pruned pruned, vault.prune(budget, wanted, now_in_seconds(), false));
  for (const report::ListedCrash& crash : pruned.removed) {
    audit_stored(audit::Deed::remove, crash, {}, "room");
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
  command
      .add_option_function<std::uint64_t>(
          "--guest-size", [&choice](std::uint64_t size) { choice.guest.bytes = size; },
          "The most that the crashes of this guest take in the store (2G)")
      ->transform(CLI::AsSizeValue(false));
  command.add_option("--guest-count", choice.guest.count,
                     "The most crashes of this guest in the store");
  for (const char* const one : {"--store", "--config", "--guest-size", "--guest-count"}) {
    command.get_option(one)->needs(keep);
  }
  for (const char* const other : others) {
    keep->excludes(command.get_option(other));
  }
}

Result<Keeping> Keeping::begin(const KeepChoice& choice, const std::string& guest,
                               const Common& common) {
  TRY_ASSIGN(const std::string folder, folder_of(choice.store));
  TRY_ASSIGN(const vault::Budget budget, budget_of(choice.store));
  TRY_ASSIGN(vault::Vault opened, vault::Vault::open_to_write(folder));
  auto vault = std::make_unique<vault::Vault>(std::move(opened));
  TRY_ASSIGN(const vault::Recovered recovered, vault->recover(describe_crash));
  for (const vault::KeptCrash& crash : recovered.completed) {
    note(common, fmt::format("{} was left by a program that ended; it is complete now", crash.id));
  }
  TRY_ASSIGN(const std::uint64_t estimate, vault->estimate_for(guest));
  TRY(make_room(*vault, with_limits(budget, choice.guest, guest), {estimate, guest}, common));
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
