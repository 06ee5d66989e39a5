// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/daemon/store_work.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "src/acquire/crash/panic_events.h"
#include "src/base/fd.h"
#include "src/base/whole_file.h"
#include "src/job/describe_crash.h"
#include "src/report/crash_event.h"
#include "src/vault/vault.h"

namespace vmcore::daemon {

Result<> note_policy(const std::filesystem::path& store, const std::string& id,
                     const report::PolicyOutcome& outcome) {
  TRY_ASSIGN(const vault::Vault vault, vault::Vault::open(store));
  return vault.set_policy(id, outcome);
}

namespace {

bool is_of(const report::Manifest& manifest, const GuestId& guest) {
  const GuestIdentity& who = manifest.capture.guest;
  return !manifest.from.empty()                   ? manifest.from == guest.from
         : who.uuid.empty() || guest.uuid.empty() ? who.name == guest.name
                                                  : who.uuid == guest.uuid;
}

// Of a stored crash.
Result<report::CrashEvent> event_of(const std::filesystem::path& folder) {
  constexpr std::size_t kMost = 256U << 10;
  const Fd file(::open((folder / job::kEventName).c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!file) {
    return fail_errno(errno, folder.string());
  }
  TRY_ASSIGN(const std::string text, read_all(file.get(), folder.string(), kMost));
  return report::event_from_json(text);
}

// A guest that stopped in its panic stands still until somebody carries it on. Others reboot, or
// are carried on by a guardian, while no vmcored runs.
bool stood_in_panic(const std::filesystem::path& folder, std::uint64_t since_us) {
  const auto event = event_of(folder);
  return event && event->time_us == since_us &&
         event->kind == acquire::kind_name(acquire::GuestEvent::Kind::panicked);
}

}  // namespace

std::vector<std::string> remove_parts(const std::filesystem::path& store, const GuestId& guest,
                                      const PartsOf& parts) {
  std::vector<std::string> removed;
  const auto vault = vault::Vault::open(store);
  if (!vault) {
    return removed;
  }
  const auto same = [&](const report::ListedCrash& crash) {
    return crash.manifest && crash.damage.empty() && is_of(*crash.manifest, guest) &&
           stood_in_panic(store / crash.id, parts.event_us);
  };
  const report::ListedCrash whole = vault->listed(parts.whole_id);
  if (!same(whole) || !whole.manifest->complete || !whole.manifest->verified) {
    return removed;
  }
  for (const auto& crash : vault->list().value_or(std::vector<report::ListedCrash>())) {
    const bool part = same(crash) && !crash.manifest->complete &&
                      (!crash.manifest->memory_read || crash.id == parts.known_id);
    if (part && vault->remove(crash.id)) {
      removed.push_back(crash.id);
    }
  }
  return removed;
}

std::string newest_crash(const std::filesystem::path& store, const GuestId& guest,
                         std::uint64_t since) {
  const auto vault = vault::Vault::open(store);
  const auto crashes = vault ? vault->list() : tl::unexpected(vault.error());
  std::string newest;
  if (!crashes) {
    return newest;
  }
  for (const report::ListedCrash& crash : *crashes) {
    if (!crash.manifest || crash.manifest->time < since / 1'000'000) {
      continue;
    }
    newest = is_of(*crash.manifest, guest) ? crash.id : newest;
  }
  return newest;
}

std::optional<FoundCrash> crash_of_event(const std::filesystem::path& store, const GuestId& guest,
                                         std::uint64_t event_us) {
  const auto vault = vault::Vault::open(store);
  std::optional<FoundCrash> found;
  if (!vault) {
    return found;
  }
  for (const auto& crash : vault->list().value_or(std::vector<report::ListedCrash>())) {
    if (!crash.manifest || !is_of(*crash.manifest, guest) || (found && found->whole)) {
      continue;
    }
    const auto event = event_of(store / crash.id);
    if (event && event->time_us == event_us) {
      found = {crash.id, crash.damage.empty() && crash.manifest->complete};
    }
  }
  return found;
}

namespace {

StoreUse use_of(const std::vector<report::ListedCrash>& crashes) {
  StoreUse use{.crashes = crashes.size()};
  for (const report::ListedCrash& crash : crashes) {
    use.bytes += crash.bytes;
  }
  return use;
}

}  // namespace

Result<StoreUse> use_of(const std::filesystem::path& store) {
  std::error_code error;
  if (!std::filesystem::exists(store, error) && !error) {
    return StoreUse{};
  }
  TRY_ASSIGN(const vault::Vault vault, vault::Vault::open(store));
  TRY_ASSIGN(const std::vector<report::ListedCrash> crashes, vault.list());
  return use_of(crashes);
}

Result<SettledCrash> read_settled(const std::filesystem::path& store, const std::string& id) {
  TRY_ASSIGN(const vault::Vault vault, vault::Vault::open(store));
  TRY_ASSIGN(const std::vector<report::ListedCrash> crashes, vault.list());
  SettledCrash settled{.folder = (store / id).string()};
  settled.store = use_of(crashes);
  const auto found = std::ranges::find(crashes, id, &report::ListedCrash::id);
  if (found == crashes.end()) {
    return fail(Errc::not_found, "{} is not in the store any more", id);
  }
  if (!found->manifest) {
    return fail(Errc::malformed, "{}: {}", id, found->damage);
  }
  settled.bytes = found->bytes;
  settled.manifest = *found->manifest;
  return settled;
}

}  // namespace vmcore::daemon
