// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/check/guest_facts.h"

#include <algorithm>

namespace vmcore::check {

bool GuestFacts::usable(acquire::Method method) const {
  const auto way = std::ranges::find(ways, method, &Way::method);
  return way != ways.end() && way->usable;
}

const report::Summary* census_of(const GuestFacts& facts) {
  return facts.census && *facts.census ? &**facts.census : nullptr;
}

}  // namespace vmcore::check
