// SPDX-License-Identifier: GPL-2.0-or-later
// The kernel's identity, uptime, taint and modules.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/report/triage.h"
#include "src/triage/knowledge.h"

namespace vmcore::triage {

// Of a kernel whose symbols are not known: what VMCOREINFO tells.
report::TriageKernel kernel_by_info(const kernel::GuestKernel& kernel);
report::TriageKernel kernel_section(Knowledge& knowledge);

// The flags of a taint mask, in the order of their bits.
std::vector<report::Taint> taints_of(std::uint64_t mask);
// The mask of such letters: "OE". "G" says that no proprietary module was loaded.
std::uint64_t taint_mask_of(std::string_view letters);

// Adds a remark for each part of the list that cannot be read.
report::Known<std::vector<report::TriageModule>> module_section(Knowledge& knowledge,
                                                                std::vector<Remark>& remarks);

}  // namespace vmcore::triage
