// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/config/config.h"

#include <fnmatch.h>

#include <algorithm>

#include "src/base/printable.h"
#include "src/config/keys.h"

namespace vmcore::config {
namespace {

// Longer names are compared as they are: fnmatch(3) takes its time and its stack by their length.
constexpr std::size_t kLongestName = 1024;

bool fits(const std::string& who, const std::string& name, const std::string& uuid) {
  if (who == name) {
    return true;
  }
  const auto matches = [&](const std::string& text, int flags) {
    return !text.empty() && std::max(text.size(), who.size()) <= kLongestName &&
           ::fnmatch(who.c_str(), text.c_str(), flags) == 0;
  };
  return matches(name, 0) || matches(uuid, FNM_CASEFOLD);
}

// The value of a section was checked when its file was read.
void apply(GuestPolicy& policy, const Setting& setting) {
  if (const auto* key = find_key(guest_keys(), setting.first)) {
    static_cast<void>(key->read(policy, {Written::Type::any, {setting.second}}));
  }
}

template <class Number>
void lower(std::optional<Number>& value, const std::optional<Number>& most) {
  if (most && (!value || *value > *most)) {
    value = most;
  }
}

template <class Owner>
std::string section_text(const std::string& name, std::span<const Key<Owner>> keys,
                         const Owner& owner) {
  std::string text = fmt::format("[{}]\n", name);
  for (const Key<Owner>& key : keys) {
    text += fmt::format("{} = {}\n", key.name, key.show(owner));
  }
  return text;
}

// Only what the section says.
std::string guest_text(const GuestSection& section) {
  std::string text = fmt::format("\n[guest.{}]\n", toml_text(section.who));
  GuestPolicy policy;
  for (const Setting& setting : section.settings) {
    apply(policy, setting);
    text += fmt::format("{} = {}\n", setting.first,
                        find_key(guest_keys(), setting.first)->show(policy));
  }
  return text;
}

}  // namespace

GuestPolicy Config::policy_of(const std::string& name, const std::string& uuid) const {
  GuestPolicy policy = guests;
  for (const GuestSection& section : sections) {
    if (fits(section.who, name, uuid)) {
      std::ranges::for_each(section.settings,
                            [&](const Setting& setting) { apply(policy, setting); });
    }
  }
  return policy;
}

std::string effective_text(const Config& config) {
  std::string text = section_text("service", service_keys(), config) + "\n" +
                     section_text("store", store_keys(), config) + "\n" +
                     section_text("guests", guest_keys(), config.guests);
  for (const GuestSection& section : config.sections) {
    text += guest_text(section);
  }
  return text;
}

Verdict check_config(const std::filesystem::path& file) {
  const Checked checked = check(file);
  if (checked.errors.empty()) {
    return {true, effective_text(checked.config)};
  }
  Verdict verdict;
  for (const Error& error : checked.errors) {
    verdict.text += printable(error.message) + "\n";
  }
  return verdict;
}

Asked as_asked(const GuestPolicy& policy, std::span<const Setting> settings) {
  Asked asked{.policy = policy};
  for (const auto& [name, value] : settings) {
    const auto* const key = find_key(guest_keys(), name);
    if (key == nullptr || !may_be_asked(name)) {
      asked.errors.push_back(fmt::format("a domain's own policy may not set {}", printable(name)));
    } else if (!key->read(asked.policy, {Written::Type::any, {value}})) {
      asked.errors.push_back(fmt::format("the domain's own policy: {} is {}: write {}", name,
                                         printable(value), key->what));
    }
  }
  asked.policy.level |= policy.level;  // each bit leaves a kind of pages out
  lower(asked.policy.store.bytes, policy.store.bytes);
  lower(asked.policy.store.count, policy.store.count);
  return asked;
}

}  // namespace vmcore::config
