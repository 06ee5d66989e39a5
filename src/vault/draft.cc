// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/vault/draft.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <vector>

#include "src/base/sys.h"
#include "src/vault/crash_id.h"
#include "src/vault/entry.h"
#include "src/vault/lock.h"
#include "src/vault/room.h"

namespace vmcore::vault {
namespace {

constexpr std::uint64_t kForManifest = 256U << 10;  // it has some 4 KiB, and 1 MiB at most
// Bytes of the reserve that are given up at a time. Another program may take them first.
constexpr std::uint64_t kPortion = 512U << 10;
constexpr unsigned kAttempts = 16;

Result<std::string> new_name() {
  std::uint64_t random = 0;
  if (::getrandom(&random, sizeof random, 0) != static_cast<ssize_t>(sizeof random)) {
    return fail_errno(errno, "getrandom");
  }
  return fmt::format("{}{:016x}", kDraftPrefix, random);
}

// A draft that is completed may have been described before.
void drop_repeats(std::vector<Remark>& remarks) {
  std::set<std::string> texts;
  std::erase_if(remarks, [&](const Remark& remark) { return !texts.insert(remark.text).second; });
}

Result<std::uint64_t> next_number(int store, const std::string& where) {
  TRY_ASSIGN(const std::vector<std::string> names, staging::names_in(store, where));
  std::uint64_t last = 0;
  for (const std::string& name : names) {
    last = std::max(last, number_of(name).value_or(0));
  }
  return last + 1;
}

}  // namespace

std::uint64_t promised_to(int draft_folder) {
  struct stat status {};
  if (::fstatat(draft_folder, kRoomName, &status, AT_SYMLINK_NOFOLLOW) != 0) {
    return 0;
  }
  const auto estimate = static_cast<std::uint64_t>(status.st_size);
  return estimate - std::min(estimate, bytes_in(draft_folder));
}

Result<Draft> Draft::try_create(int store, const std::string& where) {
  TRY_ASSIGN(std::string name, new_name());
  TRY_ASSIGN(staging::StagedFolder folder,
             staging::StagedFolder::create(store, std::move(name), where));
  auto lock = lock_folder(folder.fd(), Hold::alone, true);
  if (!lock) {
    return in_context(std::move(lock).error(), folder.path());
  }
  TRY(hold_room(folder.fd(), kHeldName, kForManifest));
  return Draft(store, where, std::move(folder), *std::move(lock));
}

Result<Draft> Draft::create(int store, const std::string& where) {
  while (true) {
    auto draft = try_create(store, where);
    if (draft || draft.error().code != Errc::no_space) {
      return draft;
    }
    if (give_up_room(store, kReserveName, kPortion) == 0) {
      return in_context(std::move(draft).error(), where + ": there is no room for a crash");
    }
  }
}

Result<Draft> Draft::adopt(int store, const std::string& where, const std::string& name) {
  TRY_ASSIGN(staging::StagedFolder folder, staging::StagedFolder::adopt(store, name, where));
  auto lock = lock_folder(folder.fd(), Hold::alone_now, true);
  if (!lock) {
    folder.leave();
    return in_context(std::move(lock).error(), folder.path());
  }
  return Draft(store, where, std::move(folder), *std::move(lock));
}

Result<> Draft::expect(std::uint64_t estimate) {
  if (estimate == 0) {
    return {};
  }
  const Fd file(::openat(folder(), kRoomName, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  return file ? sys::truncate(file.get(), estimate) : fail_errno(errno, path());
}

Result<> Draft::write(const std::string& name, std::string_view text, mode_t mode) {
  Result<> written;
  for (unsigned attempt = 0; attempt < kAttempts; ++attempt) {
    written = staging::add_file_at(folder(), name, text, mode);
    const bool full = !written && written.error().code == Errc::no_space;
    const std::uint64_t portion = std::max<std::uint64_t>(kPortion, 2 * text.size());
    if (!full || (give_up_room(store_, kReserveName, portion) == 0 &&
                  give_up_room(folder(), kHeldName, kForManifest) == 0)) {
      break;
    }
  }
  return written;
}

Result<> Draft::note(const report::Manifest& manifest) {
  return write(kManifestName, report::to_json(manifest));
}

Result<> Draft::checkpoint(const report::Manifest& manifest) {
  TRY(note(manifest));
  return folder_.sync();
}

Result<KeptCrash> Draft::commit(report::Manifest manifest, const Describe& describe) {
  auto kept = try_commit(std::move(manifest), describe);
  if (!kept) {
    folder_.leave();
    kept.error().message += fmt::format(
        " (what was written stays in {}: make room, and `vmcorectl prune` completes it)", path());
  }
  lock_.reset();
  return kept;
}

Result<KeptCrash> Draft::try_commit(report::Manifest manifest, const Describe& describe) {
  TRY(folder_.sync());
  if (const Result<> described = describe(manifest, path()); !described) {
    manifest.complete = false;
    manifest.remarks.push_back(
        {described.error().code,
         fmt::format("the dump could not be opened: {}", described.error().message)});
  } else {
    manifest.verified = manifest.dump.has_value();
  }
  drop_repeats(manifest.remarks);
  TRY_ASSIGN(manifest.files, files_of(folder(), path()));
  ::unlinkat(folder(), kRoomName, 0);
  ::unlinkat(folder(), kHeldName, 0);
  auto naming = lock_folder(store_, Hold::alone, true);
  if (!naming) {
    return in_context(std::move(naming).error(), where_);
  }
  TRY_ASSIGN(manifest.number, next_number(store_, where_));
  const GuestIdentity& guest = manifest.capture.guest;
  manifest.id = crash_id(manifest.time, guest.host, guest.name, manifest.number);
  TRY(write(kManifestName, report::to_json(manifest), kManifestMode));
  TRY_ASSIGN(std::optional<Remark> doubt, folder_.commit(manifest.id, kFolderMode));
  return KeptCrash{manifest.id, path(), std::move(manifest), std::move(doubt)};
}

}  // namespace vmcore::vault
