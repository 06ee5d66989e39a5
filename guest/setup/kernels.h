// The kernels that are installed, as far as setup asks about them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "guest/root/tree.h"

namespace vmcore::guest::setup {

// Their releases, by /lib/modules.
std::vector<std::string> kernel_releases(const root::Tree& tree);

// Whether a release is `major`.`minor` or later. For what no interface tells.
bool is_at_least(std::string_view release, unsigned major, unsigned minor);

// Those of `names` that every kernel has as a module ("-" and "_" are one).
std::vector<std::string> common_modules(const root::Tree& tree,
                                        const std::vector<std::string>& names);

// "crashkernel=128M": what the largest kernel that is installed needs (estimate.h); 128 MiB where
// none is found.
std::string reservation_word(const root::Tree& tree);

// Whether `text` can stand behind "crashkernel=": it goes into files that a shell reads.
bool is_reservation(std::string_view text);

}  // namespace vmcore::guest::setup
