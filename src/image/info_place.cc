// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/image/info_place.h"

#include <algorithm>

#include "src/image/page.h"

namespace vmcore {

bool can_be_place(const InfoPlace& place) {
  constexpr std::size_t kMostDigits = 128;
  const auto is_digit = [](char letter) {
    return (letter >= '0' && letter <= '9') || (letter >= 'a' && letter <= 'f');
  };
  return place.address.value < kMaxPhysAddr && place.address.value % kPageSize == 0 &&
         place.build_id.size() <= kMostDigits && std::ranges::all_of(place.build_id, is_digit);
}

}  // namespace vmcore
