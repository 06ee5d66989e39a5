#include "src/job/guest_facts.h"

#include <algorithm>

namespace vmcore::job {

bool GuestFacts::usable(const std::string& method) const {
  const auto way = std::ranges::find(ways, method, &Way::method);
  return way != ways.end() && way->usable;
}

const sandbox::Done* census_of(const GuestFacts& facts) {
  return facts.census && *facts.census ? &**facts.census : nullptr;
}

}  // namespace vmcore::job
