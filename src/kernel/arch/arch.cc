// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/kernel/arch/arch.h"

#include <algorithm>

namespace vmcore::kernel {

extern const Architecture kX86_64;  // x86_64.cc

namespace {

constexpr std::array kArchitectures{&kX86_64};
static_assert(kArchitectures.size() == kArchNames.size());

}  // namespace

const Architecture& architecture_of(const Machine& machine) {
  const auto* const found = std::ranges::find_if(
      kArchitectures, [&](const Architecture* each) { return each->arch == machine.arch; });
  return found != kArchitectures.end() ? **found : *kArchitectures.front();
}

}  // namespace vmcore::kernel
