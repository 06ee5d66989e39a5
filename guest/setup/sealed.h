// SPDX-License-Identifier: GPL-2.0-or-later
// The costs of a changed command line. Firmware and boot loaders measure the command line, and
// secrets that are sealed to the measurement become unavailable.
#pragma once

#include <string>
#include <vector>

#include "guest/root/tree.h"

namespace vmcore::guest::setup {

// The reasons not to change the command line; none if there is no cost. Checks /etc/crypttab and
// the LUKS headers of its volumes, Secure Boot, and unified kernel images.
Result<std::vector<std::string>> costs_of_changed_line(const root::Tree& tree);

}  // namespace vmcore::guest::setup
