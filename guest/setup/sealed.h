// What a changed command line costs: firmware and boot loaders measure it, and what is sealed to
// the measurement stays shut.
#pragma once

#include <string>
#include <vector>

#include "guest/root/tree.h"

namespace vmcore::guest::setup {

// Why the command line should not be changed without thinking; none where nothing speaks against
// it. Looks at /etc/crypttab and the LUKS headers that it names, at Secure Boot and unified kernel
// images.
Result<std::vector<std::string>> costs_of_changed_line(const root::Tree& tree);

}  // namespace vmcore::guest::setup
