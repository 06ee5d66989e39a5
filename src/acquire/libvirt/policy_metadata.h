// SPDX-License-Identifier: GPL-2.0-or-later
// What a domain's own definition asks for, in its metadata (vmcored.conf(5), DOMAIN METADATA):
//
//   <vmcorectl:policy xmlns:vmcorectl="urn:vmcorectl:policy:1" after-crash="restart" level="31"/>
//
// Here it becomes keys and values; src/config judges them.
#pragma once

#include <libvirt/libvirt.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "src/base/result.h"

namespace vmcore::acquire {

inline constexpr const char* kPolicyNamespace = "urn:vmcorectl:policy:1";

using PolicySettings = std::vector<std::pair<std::string, std::string>>;

// The attributes of the element, but for namespaces. Errc::malformed for text that is no such
// element, or has others in it; Errc::limit for more than 64 KiB or 64 attributes.
Result<PolicySettings> read_policy_element(std::string_view xml);

// Of a domain as it is now; empty where its definition asks for nothing.
Result<PolicySettings> policy_settings_of(virDomain* domain);

}  // namespace vmcore::acquire
