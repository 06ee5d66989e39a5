// SPDX-License-Identifier: GPL-2.0-or-later
// Vault: the store of crashes: a folder for each, which appears as a whole (docs/store.md).
//
// Crashes are listed without a lock: a folder that has its name is complete. What names, holds and
// removes them has the lock of the store meanwhile, so that several programs may use it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "src/base/fd.h"
#include "src/base/result.h"
#include "src/report/manifest.h"
#include "src/vault/budget.h"
#include "src/vault/draft.h"
#include "src/vault/entry.h"

namespace vmcore::vault {

inline constexpr const char* kUsualStore = "/var/lib/vmcorectl";

// A crash that is read: it is not removed meanwhile.
struct OpenCrash {
  report::ListedCrash crash;
  std::string path;  // of its folder
  Fd folder;
  Fd lock;  // none where this user may read no more than the manifest
};

struct Pruned {
  std::vector<report::ListedCrash> removed;
  std::string exceeded;  // the limit that is exceeded all the same; empty: none
};

// What a program that did not live to its end had left.
struct Recovered {
  std::vector<KeptCrash> completed;  // a Remark says so
  std::uint64_t cleared = 0;         // folders with nothing worth keeping
  std::vector<Error> failed;
};

class Vault {
 public:
  // Errc::not_found where there is no such folder, with what to do.
  static Result<Vault> open(const std::filesystem::path& folder);
  // The same, for whoever writes: makes the folder where its parent is there. Errc::denied for a
  // folder that everybody may write to.
  static Result<Vault> open_to_write(const std::filesystem::path& folder);

  const std::string& path() const { return path_; }

  // All crashes, the newest last, damaged ones included.
  Result<std::vector<report::ListedCrash>> list() const;
  // One of them, as list() has it; damaged if it is not there.
  report::ListedCrash listed(const std::string& id) const { return read_entry(folder_.get(), id); }
  // The ID that a user means: an ID or the beginning of one (from the date on), or -N, the Nth
  // newest. Errc::not_found; Errc::invalid where several fit.
  Result<std::string> find(const std::string& word) const;
  // Whether the word could be meant for find(), whatever is there.
  static bool is_name(const std::string& word);
  // Waits for whoever writes or removes it.
  Result<OpenCrash> open_crash(const std::string& id) const;

  // A new crash. Nothing is removed for it: see prune(). `estimate`: bytes of the dump, as for
  // Draft::expect(). Room for some flash reports is held back in the store, as far as there is any.
  Result<Draft> begin(std::uint64_t estimate) const;

  Result<> set_held(const std::string& id, bool held) const;
  // The only thing that comes into a manifest after the crash was kept.
  Result<> set_self_check(const std::string& id, const report::SelfCheck& check) const;
  Result<> set_policy(const std::string& id, const report::PolicyOutcome& policy) const;
  // Errc::busy while somebody reads it; Errc::denied while it is held.
  Result<> remove(const std::string& id) const;
  // Removes what choose() says. `try_only`: tells it, and removes nothing.
  Result<Pruned> prune(const Budget& budget, const std::optional<Wanted>& wanted, std::uint64_t now,
                       bool try_only) const;
  // An estimate of the next dump of a guest: somewhat more than its largest; 16 MiB without one.
  Result<std::uint64_t> estimate_for(const GuestKey& guest) const;

  // Completes, or clears, what nobody writes any more.
  Result<Recovered> recover(const Describe& describe) const;

 private:
  Vault(std::string path, Fd folder) : path_(std::move(path)), folder_(std::move(folder)) {}
  Result<Fd> lock() const;
  Result<> change_state(const std::string& id,
                        const std::function<void(report::CrashState&)>& change) const;
  // Takes its name from a crash that nobody uses; the new one is to be removed.
  Result<std::string> take_away(const std::string& id) const;
  Choice choose_unused(std::vector<Stored> stored, const Budget& budget, const Space& room,
                       const std::optional<Wanted>& wanted, std::uint64_t now) const;
  // Errc::denied where it is held, Errc::busy where somebody has a file of it open.
  Result<> check_free(const std::string& id) const;
  Result<Space> space() const;
  // Takes back what was given up of the room for flash reports.
  void fill_reserve() const;
  std::uint64_t wanted_reserve() const;
  void recover_draft(const std::string& name, const Describe& describe, Recovered& recovered) const;

  std::string path_;
  Fd folder_;
};

}  // namespace vmcore::vault
