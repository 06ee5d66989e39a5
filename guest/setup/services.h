// SPDX-License-Identifier: GPL-2.0-or-later
// The services at boot: `vmcore-guest collect`, for an earlier crash, then `vmcore-guest load`.
#pragma once

#include "guest/kexec/other_kdump.h"
#include "guest/setup/plan.h"

namespace vmcore::guest::setup {

// The udev rule that triggers a reload.
inline constexpr std::string_view kReloadRule = "/etc/udev/rules.d/98-vmcore-guest.rules";

// The units that check the network, for systemd and for OpenRC.
inline constexpr std::string_view kNetworkTimer = "/etc/systemd/system/vmcore-guest-network.timer";
inline constexpr std::string_view kNetworkScript = "/etc/init.d/vmcore-guest-network";

// The path of vmcore-guest inside the guest.
Result<std::string> installed_program(const root::Tree& tree);

// Adds a systemd unit or an OpenRC script and the link that enables it. If a target needs the
// network (follows_network), adds another that reloads the capture kernel when the network is up or
// has changed. With `lock_options`, the service runs `vmcore-guest lock` with them after the load.
Result<> add_service(Plan& plan, std::string_view lock_options);

// Removes the links that enable the units and scripts that the changes created, whoever made them
// (systemctl reenable, rc-update): they would lead nowhere.
Result<> remove_links(root::Tree& tree, const std::vector<root::Change>& changes);

// Makes the capture environment of another kdump service run `vmcore-guest save` before it saves
// its own dump.
Result<> add_collector(Plan& plan, const kexec::OtherKdump& other);

}  // namespace vmcore::guest::setup
