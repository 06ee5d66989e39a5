// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/daemon/store_work.h"

#include <algorithm>
#include <system_error>
#include <vector>

#include "src/vault/vault.h"

namespace vmcore::daemon {

Result<> note_policy(const std::filesystem::path& store, const std::string& id,
                     const report::PolicyOutcome& outcome) {
  TRY_ASSIGN(const vault::Vault vault, vault::Vault::open(store));
  return vault.set_policy(id, outcome);
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
    const GuestIdentity& who = crash.manifest->capture.guest;
    const bool same = !crash.manifest->from.empty()            ? crash.manifest->from == guest.from
                      : who.uuid.empty() || guest.uuid.empty() ? who.name == guest.name
                                                               : who.uuid == guest.uuid;
    newest = same ? crash.id : newest;
  }
  return newest;
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
