// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/daemon/store_work.h"

#include <algorithm>
#include <system_error>
#include <vector>

#include "src/vault/being_written.h"
#include "src/vault/vault.h"

namespace vmcore::daemon {

Result<> note_policy(const std::filesystem::path& store, const std::string& id,
                     const report::PolicyOutcome& outcome) {
  TRY_ASSIGN(const vault::Vault vault, vault::Vault::open(store));
  return vault.set_policy(id, outcome);
}

namespace {

bool is_of(const report::Manifest& manifest, const GuestId& guest, std::uint64_t since) {
  const GuestIdentity& who = manifest.capture.guest;
  const bool same = !manifest.from.empty()                   ? manifest.from == guest.from
                    : who.uuid.empty() || guest.uuid.empty() ? who.name == guest.name
                                                             : who.uuid == guest.uuid;
  return same && manifest.time >= since / 1'000'000;
}

}  // namespace

Recovered crash_since(const std::filesystem::path& store, const GuestId& guest,
                      std::uint64_t since) {
  Recovered found;
  const auto vault = vault::Vault::open(store);
  if (!vault) {
    return found;
  }
  found.being_written = std::ranges::any_of(  // before those that have a name: it may get one
      vault::being_written(store),
      [&](const auto& manifest) { return is_of(manifest, guest, since); });
  for (const auto& crash : vault->list().value_or(std::vector<report::ListedCrash>())) {
    if (crash.manifest && is_of(*crash.manifest, guest, since) && !found.whole) {
      found.id = crash.id;
      found.whole = crash.manifest->complete && crash.damage.empty();
    }
  }
  return found;
}

std::vector<std::string> remove_parts(const std::filesystem::path& store, const GuestId& guest,
                                      std::uint64_t since, const std::string& whole_id) {
  std::vector<std::string> removed;
  const auto vault = vault::Vault::open(store);
  const auto crashes = vault ? vault->list() : tl::unexpected(vault.error());
  for (const auto& crash : crashes.value_or(std::vector<report::ListedCrash>())) {
    const bool part = crash.manifest && crash.id != whole_id && !crash.manifest->complete &&
                      is_of(*crash.manifest, guest, since);
    if (part && vault->remove(crash.id)) {
      removed.push_back(crash.id);
    }
  }
  return removed;
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
