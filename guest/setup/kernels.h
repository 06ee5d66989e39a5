// SPDX-License-Identifier: GPL-2.0-or-later
// The installed kernels.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "guest/kexec/estimate.h"
#include "guest/kexec/reservation.h"
#include "guest/root/tree.h"

namespace vmcore::guest::setup {

// Their releases, from /lib/modules.
std::vector<std::string> kernel_releases(const root::Tree& tree);

// Whether a release is `major`.`minor` or later, for facts that the kernel does not expose.
bool is_at_least(std::string_view release, unsigned major, unsigned minor);

// Those of `names` that are modules of every kernel ("-" and "_" are equal).
std::vector<std::string> common_modules(const root::Tree& tree,
                                        const std::vector<std::string>& names);

// The need of the largest installed kernel (guest/kexec/estimate.h); if none is found, at least 0
// and recommended 128 MiB.
kexec::Need largest_need(const root::Tree& tree);

// What decides whether a crashkernel= serves this guest.
kexec::Machine machine_of(const root::Tree& tree, const kexec::Need& need);

// Whether `text` is a value of crashkernel=. It is written into files that a shell reads.
bool is_reservation(std::string_view text);

}  // namespace vmcore::guest::setup
