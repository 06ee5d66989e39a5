// What runs at boot: `vmcore-guest collect` (an earlier crash), then `vmcore-guest load`.
#pragma once

#include "guest/setup/other_kdump.h"
#include "guest/setup/plan.h"

namespace vmcore::guest {

// Where udev is told to call for a reload.
inline constexpr std::string_view kReloadRule = "/etc/udev/rules.d/98-vmcore-guest.rules";

// Where the guest itself finds vmcore-guest.
Result<std::string> installed_program(const Tree& tree);

// A unit of systemd or a script of OpenRC, enabled by its link.
Result<> add_service(Plan& plan);

// `vmcore-guest save` in the capture environment of another, before it saves itself.
Result<> add_collector(Plan& plan, const OtherKdump& other);

}  // namespace vmcore::guest
