// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/vault/vault.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <functional>
#include <iterator>
#include <utility>

#include "src/base/number.h"
#include "src/base/sync.h"
#include "src/staging/staged_folder.h"
#include "src/vault/crash_id.h"
#include "src/vault/entry.h"
#include "src/vault/lock.h"
#include "src/vault/room.h"

namespace vmcore::vault {
namespace {

constexpr std::string_view kGonePrefix = ".gone-";
constexpr std::uint64_t kUsualEstimate = 16U << 20;
// For some twenty flash reports.
constexpr std::uint64_t kReserve = 8U << 20;
constexpr std::uint64_t kReserveShare = 32;  // of the file system, at most this part
constexpr std::size_t kLeastOfAnId = 9;      // the date and the T

bool has_number_form(const std::string& word) {
  return word.size() > 1 && word.front() == '-' &&
         parse_number<std::uint64_t>(std::string_view(word).substr(1)).value_or(0) > 0;
}

std::string list_of(const std::vector<std::string>& ids) {
  std::string text;
  for (const std::string& id : ids) {
    text += (text.empty() ? "" : ", ") + id;
  }
  return text;
}

// What `vmcorectl list` shows: not what is hidden, nor the lock.
Result<std::vector<std::string>> ids_in(int store, const std::string& path) {
  TRY_ASSIGN(std::vector<std::string> names, staging::names_in(store, path));
  std::erase_if(names, [](const std::string& name) { return !number_of(name); });
  std::ranges::sort(names, {}, [](const std::string& id) { return std::pair(number_of(id), id); });
  return names;
}

}  // namespace

Result<Vault> Vault::open(const std::filesystem::path& folder) {
  Fd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd && errno == ENOENT) {
    return fail(Errc::not_found, "there is no store {}: give another one with --store",
                folder.string());
  }
  if (!fd) {
    return fail_errno(errno, folder.string());
  }
  return Vault(folder.string(), std::move(fd));
}

Result<Vault> Vault::open_to_write(const std::filesystem::path& folder) {
  if (::mkdir(folder.c_str(), kFolderMode) != 0 && errno != EEXIST) {
    const int error_number = errno;
    return fail_errno(error_number, folder.string());
  }
  TRY_ASSIGN(Vault vault, open(folder));
  struct stat status {};
  if (::fstat(vault.folder_.get(), &status) != 0) {
    return fail_errno(errno, folder.string());
  }
  if ((status.st_mode & S_IWOTH) != 0) {
    return fail(Errc::denied,
                "everybody may write to {}: it cannot be a store (chmod o-w it, or give another "
                "one with --store)",
                folder.string());
  }
  return vault;
}

Result<Fd> Vault::lock() const {
  auto taken = lock_folder(folder_.get(), Hold::alone, true);
  if (!taken) {
    return in_context(std::move(taken).error(), path_);
  }
  return taken;
}

Result<std::vector<report::ListedCrash>> Vault::list() const {
  TRY_ASSIGN(const std::vector<std::string> ids, ids_in(folder_.get(), path_));
  std::vector<report::ListedCrash> crashes;
  for (const std::string& id : ids) {
    report::ListedCrash crash = read_entry(folder_.get(), id);
    struct stat status {};
    // It may have been removed while it was read.
    if (::fstatat(folder_.get(), id.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) {
      crashes.push_back(std::move(crash));
    }
  }
  return crashes;
}

bool Vault::is_name(const std::string& word) {
  const bool begins_as_one = word.size() >= kLeastOfAnId && word[kLeastOfAnId - 1] == 'T' &&
                             std::all_of(word.begin(), word.begin() + kLeastOfAnId - 1,
                                         [](char c) { return c >= '0' && c <= '9'; });
  return begins_as_one || has_number_form(word);
}

Result<std::string> Vault::find(const std::string& word) const {
  TRY_ASSIGN(const std::vector<std::string> ids, ids_in(folder_.get(), path_));
  if (has_number_form(word)) {
    const auto back = *parse_number<std::uint64_t>(std::string_view(word).substr(1));
    if (back > ids.size()) {
      return fail(Errc::not_found, "{} has {} crashes: there is no {}", path_, ids.size(), word);
    }
    return ids[ids.size() - back];
  }
  std::vector<std::string> found;
  for (const std::string& id : ids) {
    if (id == word) {
      return id;
    }
    if (is_name(word) && id.starts_with(word)) {
      found.push_back(id);
    }
  }
  if (found.empty()) {
    return fail(Errc::not_found, "{} has no crash {} (vmcorectl list shows those that it has)",
                path_, word);
  }
  if (found.size() > 1) {
    return fail(Errc::invalid, "{} matches several crashes: {}", word, list_of(found));
  }
  return found.front();
}

Result<OpenCrash> Vault::open_crash(const std::string& id) const {
  TRY_ASSIGN(Fd folder, staging::open_folder_at(folder_.get(), id, path_));
  auto lock = lock_folder(folder.get(), Hold::shared, false);
  if (!lock && lock.error().code != Errc::denied && lock.error().code != Errc::not_found) {
    return in_context(std::move(lock).error(), path_ + "/" + id);
  }
  struct stat opened {};
  struct stat named {};
  if (::fstat(folder.get(), &opened) != 0 ||
      ::fstatat(folder_.get(), id.c_str(), &named, AT_SYMLINK_NOFOLLOW) != 0 ||
      opened.st_ino != named.st_ino) {
    return fail(Errc::not_found, "{} has no crash {} any more: it was removed", path_, id);
  }
  return OpenCrash{read_entry(folder_.get(), id), path_ + "/" + id, std::move(folder),
                   lock ? *std::move(lock) : Fd()};
}

Result<Draft> Vault::begin(std::uint64_t estimate) const {
  TRY_ASSIGN(const Fd naming, lock());
  fill_reserve();
  TRY_ASSIGN(Draft draft, Draft::create(folder_.get(), path_));
  TRY(draft.expect(estimate));
  return draft;
}

// A small part of a small file system.
std::uint64_t Vault::wanted_reserve() const {
  struct statvfs status {};
  const std::uint64_t total = ::fstatvfs(folder_.get(), &status) == 0
                                  ? static_cast<std::uint64_t>(status.f_blocks) * status.f_frsize
                                  : 0;
  return std::min(kReserve, total / kReserveShare);
}

void Vault::fill_reserve() const {
  static_cast<void>(hold_room(folder_.get(), kReserveName, wanted_reserve()));
}

Result<> Vault::change_state(const std::string& id,
                             const std::function<void(report::CrashState&)>& change) const {
  TRY_ASSIGN(const Fd naming, lock());
  TRY_ASSIGN(const Fd folder, staging::open_folder_at(folder_.get(), id, path_));
  report::CrashState state = read_entry(folder_.get(), id).state;
  change(state);
  Result<> written =
      staging::write_file_at(folder.get(), kStateName, report::to_json(state), kManifestMode);
  return written ? written : in_context(std::move(written).error(), path_ + "/" + id);
}

Result<> Vault::set_held(const std::string& id, bool held) const {
  return change_state(id, [&](report::CrashState& state) { state.held = held; });
}

Result<> Vault::set_self_check(const std::string& id, const report::SelfCheck& check) const {
  TRY_ASSIGN(const Fd naming, lock());
  TRY_ASSIGN(const Fd folder, staging::open_folder_at(folder_.get(), id, path_));
  TRY_ASSIGN(report::Manifest manifest, read_manifest(folder.get()));
  manifest.self_check = check;
  Result<> written =
      staging::write_file_at(folder.get(), kManifestName, report::to_json(manifest), kManifestMode);
  return written ? written : in_context(std::move(written).error(), path_ + "/" + id);
}

Result<> Vault::set_policy(const std::string& id, const report::PolicyOutcome& policy) const {
  return change_state(id, [&](report::CrashState& state) { state.policy = policy; });
}

Result<> Vault::check_free(const std::string& id) const {
  TRY_ASSIGN(const Fd folder, staging::open_folder_at(folder_.get(), id, path_));
  const report::ListedCrash crash = read_entry(folder_.get(), id);
  if (crash.state.held) {
    return fail(Errc::denied, "{} is held: release it first (vmcorectl hold --release)", id);
  }
  const auto names = staging::names_in(folder.get(), path_);
  const bool open = names && std::ranges::any_of(*names, [&](const std::string& name) {
                      return name != kLockName && is_open_elsewhere(folder.get(), name);
                    });
  if (open) {
    return fail(Errc::busy, "{} is being read by another program", id);
  }
  return {};
}

Result<std::string> Vault::take_away(const std::string& id) const {
  TRY(check_free(id));
  TRY_ASSIGN(const Fd folder, staging::open_folder_at(folder_.get(), id, path_));
  const auto lock = lock_folder(folder.get(), Hold::alone_now, true);
  if (!lock && lock.error().code == Errc::busy) {
    return fail(Errc::busy, "{} is being read by another program", id);
  }
  if (!lock) {
    return in_context(lock.error(), path_ + "/" + id);
  }
  std::string gone = std::string(kGonePrefix) + id;
  if (::renameat(folder_.get(), id.c_str(), folder_.get(), gone.c_str()) != 0) {
    const int error_number = errno;
    return fail_errno(error_number, path_ + "/" + id);
  }
  TRY(sync_fd(folder_.get(), path_));
  return gone;
}

Result<> Vault::remove(const std::string& id) const {
  auto naming = lock();
  if (!naming) {
    return tl::unexpected(std::move(naming).error());
  }
  TRY_ASSIGN(const std::string gone, take_away(id));
  naming->reset();  // what follows may take long
  return staging::remove_folder_at(folder_.get(), gone, path_);
}

Result<Space> Vault::space() const {
  struct statvfs status {};
  if (::fstatvfs(folder_.get(), &status) != 0) {
    return fail_errno(errno, path_);
  }
  Space space{.total = static_cast<std::uint64_t>(status.f_blocks) * status.f_frsize,
              .free = static_cast<std::uint64_t>(status.f_bavail) * status.f_frsize};
  const std::uint64_t wanted = wanted_reserve();
  const std::uint64_t given_up = wanted - std::min(wanted, held_room(folder_.get(), kReserveName));
  space.free -= std::min(space.free, given_up);
  TRY_ASSIGN(const std::vector<std::string> names, staging::names_in(folder_.get(), path_));
  for (const std::string& name : names) {
    const auto draft = name.starts_with(kDraftPrefix)
                           ? staging::open_folder_at(folder_.get(), name, path_)
                           : fail(Errc::not_found, "no draft");
    space.promised += draft ? promised_to(draft->get()) : 0;
  }
  return space;
}

// Whether a crash is being read is asked when it is to go: then the choice is made again.
Choice Vault::choose_unused(std::vector<Stored> stored, const Budget& budget, const Space& room,
                            const std::optional<Wanted>& wanted, std::uint64_t now) const {
  for (;;) {
    Choice choice = choose(stored, budget, room, wanted, now);
    bool again = false;
    for (const std::string& id : choice.remove) {
      if (const Result<> free = check_free(id); !free && free.error().code == Errc::busy) {
        std::ranges::find(stored, id, &Stored::id)->busy = again = true;
      }
    }
    if (!again) {
      return choice;
    }
  }
}

Result<Pruned> Vault::prune(const Budget& budget, const std::optional<Wanted>& wanted,
                            std::uint64_t now, bool try_only) const {
  auto naming = lock();
  if (!naming) {
    return tl::unexpected(std::move(naming).error());
  }
  if (!try_only) {
    fill_reserve();
  }
  TRY_ASSIGN(const std::vector<report::ListedCrash> crashes, list());
  TRY_ASSIGN(const Space room, space());
  std::vector<Stored> stored;
  std::ranges::transform(crashes, std::back_inserter(stored), stored_of);
  const Choice choice = choose_unused(std::move(stored), budget, room, wanted, now);
  Pruned pruned{.removed = {}, .exceeded = choice.exceeded};
  std::vector<std::string> gone;
  Result<> failure;
  for (const std::string& id : choice.remove) {
    if (!try_only) {
      auto hidden = take_away(id);
      if (!hidden) {
        failure = tl::unexpected(std::move(hidden).error());
        break;
      }
      gone.push_back(*std::move(hidden));
    }
    pruned.removed.push_back(*std::ranges::find(crashes, id, &report::ListedCrash::id));
  }
  naming->reset();  // what follows may take long
  for (const std::string& name : gone) {
    TRY(staging::remove_folder_at(folder_.get(), name, path_));
  }
  if (!gone.empty()) {
    fill_reserve();
  }
  TRY(failure);
  return pruned;
}

Result<std::uint64_t> Vault::estimate_for(const GuestKey& guest) const {
  TRY_ASSIGN(const std::vector<report::ListedCrash> crashes, list());
  std::uint64_t most = 0;
  for (const report::ListedCrash& crash : crashes) {
    if (crash.manifest && guest_of(*crash.manifest) == guest) {
      most = std::max(most, crash.bytes);
    }
  }
  return most == 0 ? kUsualEstimate : most + most / 4;
}

void Vault::recover_draft(const std::string& name, const Describe& describe,
                          Recovered& recovered) const {
  auto naming = lock();  // whoever begins one has it until the draft has its own
  auto draft = naming ? Draft::adopt(folder_.get(), path_, name)
                      : Result<Draft>(tl::unexpected(std::move(naming).error()));
  naming = Fd();
  if (!draft) {
    if (draft.error().code != Errc::busy && draft.error().code != Errc::not_found) {
      recovered.failed.push_back(std::move(draft).error());
    }
    return;
  }
  const auto files = files_of(draft->folder(), draft->path());
  if (files && files->empty()) {
    ++recovered.cleared;
    return;  // the draft removes itself
  }
  report::Manifest manifest =
      read_manifest(draft->folder()).value_or(report::Manifest{.tool = "vmcorectl"});
  struct stat status {};
  if (manifest.time == 0 && ::fstat(draft->folder(), &status) == 0) {
    manifest.time = static_cast<std::uint64_t>(std::max<std::time_t>(status.st_mtime, 0));
  }
  const auto mark = [&](report::Manifest& found, const std::string& folder) {
    Result<> described = describe(found, folder);
    found.remarks.push_back({Errc::cancelled,
                             "the program that wrote this crash ended before it was committed",
                             Severity::warning});
    return described;
  };
  auto kept = draft->commit(std::move(manifest), mark);
  if (kept) {
    recovered.completed.push_back(*std::move(kept));
  } else {
    recovered.failed.push_back(std::move(kept).error());
  }
}

Result<Recovered> Vault::recover(const Describe& describe) const {
  TRY_ASSIGN(const std::vector<std::string> names, staging::names_in(folder_.get(), path_));
  Recovered recovered;
  for (const std::string& name : names) {
    if (name.starts_with(kDraftPrefix)) {
      recover_draft(name, describe, recovered);
    } else if (name.starts_with(kGonePrefix)) {
      const Result<> removed = staging::remove_folder_at(folder_.get(), name, path_);
      if (removed) {
        ++recovered.cleared;
      } else if (removed.error().code != Errc::not_found) {
        recovered.failed.push_back(removed.error());
      }
    }
  }
  return recovered;
}

}  // namespace vmcore::vault
