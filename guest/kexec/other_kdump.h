// SPDX-License-Identifier: GPL-2.0-or-later
// Only one capture kernel can be loaded. Finds another kdump service that is enabled.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "guest/root/tree.h"

namespace vmcore::guest::kexec {

struct OtherKdump {
  enum class Kind { kdump_tools, kdumpctl, other };
  Kind kind = Kind::other;
  std::string unit;                // "kdump-tools.service"; with OpenRC "kdump"
  std::vector<std::string> links;  // the links that enable it
};

// The crashkernel= of the package kdump-tools: a conffile, which purging the package removes
// (kdump-tools 1:1.8.1).
inline constexpr const char* kKdumpToolsReservation = "/etc/default/grub.d/kdump-tools.cfg";

// Finds another program that saves crashes. Nothing if the guest has no such program. Fails if its
// files cannot be read.
Result<std::optional<OtherKdump>> find_other_kdump(const root::Tree& tree);
Result<std::optional<OtherKdump>> find_other_kdump(const root::Root& root);

// The links FOLDER/*/NAME; with `dependencies_only`, only those in folders *.wants and *.requires.
Result<std::vector<std::string>> links_to(const root::Tree& tree, const std::string& folder,
                                          std::string_view name, bool dependencies_only);

// The error that names the service.
Error slot_is_taken(const OtherKdump& other);

}  // namespace vmcore::guest::kexec
