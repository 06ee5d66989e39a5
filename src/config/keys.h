// SPDX-License-Identifier: GPL-2.0-or-later
// Keys: every key that a configuration may have, by section.
//
// To add one: a row in keys.cc, the same in vmcored.conf and in docs/man/vmcored.conf.5.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "src/config/config.h"
#include "src/config/values.h"

namespace vmcore::config {

template <class Owner>
struct Key {
  std::string_view name;
  std::string what;  // completes "write ..."
  std::function<bool(Owner&, const Written&)> read;
  std::function<std::string(const Owner&)> show;
};

std::span<const Key<Config>> service_keys();     // of [service]
std::span<const Key<Config>> store_keys();       // of [store]
std::span<const Key<GuestPolicy>> guest_keys();  // of [guests] and [guest."..."]
// Those that a guest's own definition may have.
bool may_be_asked(std::string_view guest_key);

// Null if no key has that name.
template <class Owner>
const Key<Owner>* find_key(std::span<const Key<Owner>> keys, std::string_view name) {
  for (const Key<Owner>& key : keys) {
    if (key.name == name) {
      return &key;
    }
  }
  return nullptr;
}

// The name that is most like `wrong`; empty where none is.
std::string_view nearest(std::span<const std::string_view> names, std::string_view wrong);

// "write max-size", or "write one of a, b, c" where no name is like the wrong one.
std::string what_instead(std::span<const std::string_view> names, std::string_view wrong);

template <class Owner>
std::vector<std::string_view> names_of(std::span<const Key<Owner>> keys) {
  std::vector<std::string_view> names;
  for (const Key<Owner>& key : keys) {
    names.push_back(key.name);
  }
  return names;
}

}  // namespace vmcore::config
