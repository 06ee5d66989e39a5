// What runs at boot: `vmcore-guest collect` (an earlier crash), then `vmcore-guest load`.
#pragma once

#include "guest/kexec/other_kdump.h"
#include "guest/setup/plan.h"

namespace vmcore::guest::setup {

// Where udev is told to call for a reload.
inline constexpr std::string_view kReloadRule = "/etc/udev/rules.d/98-vmcore-guest.rules";

// What looks at the network again, of systemd and of OpenRC.
inline constexpr std::string_view kNetworkTimer = "/etc/systemd/system/vmcore-guest-network.timer";
inline constexpr std::string_view kNetworkScript = "/etc/init.d/vmcore-guest-network";

// Where the guest itself finds vmcore-guest.
Result<std::string> installed_program(const root::Tree& tree);

// A unit of systemd or a script of OpenRC, enabled by its link. Where a target of the configuration
// needs the network (follows_network), one more that loads again when that is up, or is another.
Result<> add_service(Plan& plan);

// `vmcore-guest save` in the capture environment of another, before it saves itself.
Result<> add_collector(Plan& plan, const kexec::OtherKdump& other);

}  // namespace vmcore::guest::setup
