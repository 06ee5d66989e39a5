// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/job/place_cache.h"

#include <string>
#include <string_view>

#include "src/base/number.h"

namespace vmcore::job {
namespace {

using acquire::ProcessKey;

constexpr std::string_view kKind = "place";

// "ADDRESS BUILD-ID\n", in hexadecimal digits.
std::optional<InfoPlace> parse(std::string_view text) {
  const std::size_t space = text.find(' ');
  if (space == std::string_view::npos || !text.ends_with('\n')) {
    return std::nullopt;
  }
  text.remove_suffix(1);
  const auto address = parse_number<std::uint64_t>(text.substr(0, space), 16);
  const InfoPlace place{{address.value_or(kMaxPhysAddr)}, std::string(text.substr(space + 1))};
  return can_be_place(place) ? std::optional(place) : std::nullopt;
}

}  // namespace

std::optional<InfoPlace> PlaceCache::recall(const ProcessKey& process) const {
  return parse(notes_.recall(process, kKind));
}

void PlaceCache::remember(const ProcessKey& process, const InfoPlace& place) const {
  notes_.remember(process, kKind, fmt::format("{:x} {}\n", place.address.value, place.build_id));
}

std::optional<InfoPlace> recall_place(const acquire::Guest& guest) {
  const auto process = acquire::key_of(guest);
  return process ? PlaceCache(acquire::ProcessNotes::of_user()).recall(*process) : std::nullopt;
}

void remember_place(const acquire::Guest& guest, const std::optional<InfoPlace>& place) {
  const auto process = acquire::key_of(guest);
  if (process && place) {
    PlaceCache(acquire::ProcessNotes::of_user()).remember(*process, *place);
  }
}

}  // namespace vmcore::job
