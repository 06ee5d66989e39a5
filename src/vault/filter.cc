// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/vault/filter.h"

#include <algorithm>

namespace vmcore::vault {
namespace {

bool fits_guest(const GuestIdentity& guest, const std::vector<std::string>& names) {
  return names.empty() || std::ranges::any_of(names, [&](const std::string& name) {
           return !name.empty() && (name == guest.name || name == guest.uuid);
         });
}

bool fits_signature(const report::CrashSignature& signature, const std::string& asked) {
  return asked.empty() || asked == signature.exact || asked == signature.family ||
         signature.title.find(asked) != std::string::npos;
}

bool asks_for_any(const Filter& filter) {
  return filter.guests.empty() && filter.reason.empty() && filter.signature.empty() &&
         !filter.since && !filter.until;
}

}  // namespace

bool matches(const report::ListedCrash& crash, const Filter& filter) {
  if (!crash.manifest) {
    return asks_for_any(filter);
  }
  const report::Manifest& manifest = *crash.manifest;
  return fits_guest(manifest.capture.guest, filter.guests) &&
         (filter.reason.empty() || filter.reason == manifest.reason) &&
         fits_signature(manifest.signature, filter.signature) &&
         (!filter.since || manifest.time >= *filter.since) &&
         (!filter.until || manifest.time <= *filter.until);
}

}  // namespace vmcore::vault
